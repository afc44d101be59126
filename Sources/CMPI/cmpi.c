#include "cmpi.h"
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { PIECE = 1 << 30 };       // bytes per MPI message: counts are int

#define TRY(call) do { int code_ = (call); if (code_ != MPI_SUCCESS) return code_; } while (0)

static MPI_Comm node = MPI_COMM_NULL;   // the ranks that share memory with this one

static int piece_of(size_t bytes, size_t at) {
  return bytes - at < PIECE ? (int)(bytes - at) : PIECE;
}

int lf_mpi_init(int *multiple) {
  int provided = 0, rank = 0;
  TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided));
  *multiple = provided >= MPI_THREAD_MULTIPLE;
  TRY(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  TRY(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
  TRY(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &node));
  return MPI_Comm_set_errhandler(node, MPI_ERRORS_RETURN);
}

int lf_mpi_finalize(void) {
  if (node != MPI_COMM_NULL) TRY(MPI_Comm_free(&node));
  return MPI_Finalize();
}

void lf_mpi_abort(int status) { MPI_Abort(MPI_COMM_WORLD, status); }

void lf_mpi_error_text(int code, char *text, size_t capacity) {
  char words[MPI_MAX_ERROR_STRING] = "message shorter than expected";
  int length = 0;
  if (code != LF_MPI_SHORT && MPI_Error_string(code, words, &length) != MPI_SUCCESS)
    snprintf(words, sizeof words, "MPI error %d", code);
  snprintf(text, capacity, "%s", words);
}

int lf_mpi_rank(int *rank) { return MPI_Comm_rank(MPI_COMM_WORLD, rank); }
int lf_mpi_size(int *size) { return MPI_Comm_size(MPI_COMM_WORLD, size); }

int lf_mpi_node_ranks(int *ranks, int *count) {
  int rank = 0;
  TRY(MPI_Comm_size(node, count));
  TRY(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
  return MPI_Allgather(&rank, 1, MPI_INT, ranks, 1, MPI_INT, node);
}

int lf_mpi_send(const void *data, size_t bytes, int peer, int tag) {
  for (size_t at = 0; at < bytes; at += PIECE)
    TRY(MPI_Send((const char *)data + at, piece_of(bytes, at), MPI_BYTE, peer, tag,
                 MPI_COMM_WORLD));
  return MPI_SUCCESS;
}

static int check_length(MPI_Status *status, int expected) {
  int received = 0;
  TRY(MPI_Get_count(status, MPI_BYTE, &received));
  return received == expected ? MPI_SUCCESS : LF_MPI_SHORT;
}

int lf_mpi_receive(void *data, size_t bytes, int peer, int tag) {
  for (size_t at = 0; at < bytes; at += PIECE) {
    MPI_Status status;
    TRY(MPI_Recv((char *)data + at, piece_of(bytes, at), MPI_BYTE, peer, tag, MPI_COMM_WORLD,
                 &status));
    TRY(check_length(&status, piece_of(bytes, at)));
  }
  return MPI_SUCCESS;
}

int lf_mpi_exchange(const void *out, size_t out_bytes, void *in, size_t in_bytes, int peer,
                    int tag) {
  size_t both = out_bytes < in_bytes ? out_bytes : in_bytes, at = 0;
  for (; at < both; at += PIECE) {
    MPI_Status status;
    TRY(MPI_Sendrecv((const char *)out + at, piece_of(out_bytes, at), MPI_BYTE, peer, tag,
                     (char *)in + at, piece_of(in_bytes, at), MPI_BYTE, peer, tag, MPI_COMM_WORLD,
                     &status));
    TRY(check_length(&status, piece_of(in_bytes, at)));
  }
  if (at < out_bytes) return lf_mpi_send((const char *)out + at, out_bytes - at, peer, tag);
  if (at < in_bytes) return lf_mpi_receive((char *)in + at, in_bytes - at, peer, tag);
  return MPI_SUCCESS;
}

int lf_mpi_probe(int peer, int tag, int *source) {
  int waits = 0;
  MPI_Status status;
  TRY(MPI_Iprobe(peer < 0 ? MPI_ANY_SOURCE : peer, tag, MPI_COMM_WORLD, &waits, &status));
  *source = waits ? status.MPI_SOURCE : -1;
  return MPI_SUCCESS;
}

int lf_mpi_barrier(void) { return MPI_Barrier(MPI_COMM_WORLD); }

int lf_mpi_broadcast(void *data, size_t bytes, int root) {
  for (size_t at = 0; at < bytes; at += PIECE)
    TRY(MPI_Bcast((char *)data + at, piece_of(bytes, at), MPI_BYTE, root, MPI_COMM_WORLD));
  return MPI_SUCCESS;
}

int lf_mpi_sum_float(float *values, size_t count) {
  for (size_t at = 0; at < count; at += PIECE)
    TRY(MPI_Allreduce(MPI_IN_PLACE, values + at, piece_of(count, at), MPI_FLOAT, MPI_SUM,
                      MPI_COMM_WORLD));
  return MPI_SUCCESS;
}

int lf_mpi_reduce_int64(int64_t *values, size_t count, int operation) {
  MPI_Op op = operation == 0 ? MPI_SUM : operation == 1 ? MPI_MAX : MPI_MIN;
  for (size_t at = 0; at < count; at += PIECE)
    TRY(MPI_Allreduce(MPI_IN_PLACE, values + at, piece_of(count, at), MPI_INT64_T, op,
                      MPI_COMM_WORLD));
  return MPI_SUCCESS;
}

// Separate parts (alloc_shared_noncontig) so that each starts on a page of its own.
int lf_mpi_window_create(size_t bytes, int *window, void **parts) {
  MPI_Info info;
  MPI_Win win;
  void *own = NULL;
  int ranks = 0;
  TRY(MPI_Comm_size(node, &ranks));
  TRY(MPI_Info_create(&info));
  TRY(MPI_Info_set(info, "alloc_shared_noncontig", "true"));
  TRY(MPI_Win_allocate_shared((MPI_Aint)bytes, 1, info, node, &own, &win));
  TRY(MPI_Info_free(&info));
  TRY(MPI_Win_set_errhandler(win, MPI_ERRORS_RETURN));
  for (int rank = 0; rank < ranks; rank++) {
    MPI_Aint size = 0;
    int unit = 0;
    TRY(MPI_Win_shared_query(win, rank, &size, &unit, &parts[rank]));
  }
  *window = MPI_Win_c2f(win);
  return MPI_Win_lock_all(MPI_MODE_NOCHECK, win);
}

int lf_mpi_window_sync(int window) { return MPI_Win_sync(MPI_Win_f2c(window)); }

int lf_mpi_window_free(int window) {
  MPI_Win win = MPI_Win_f2c(window);
  TRY(MPI_Win_unlock_all(win));
  return MPI_Win_free(&win);
}
