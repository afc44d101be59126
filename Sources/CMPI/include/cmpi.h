// MPI for Swift: mpi.h's macros do not import and its counts are int.  Functions return MPI's
// error code (MPI_SUCCESS is 0) or LF_MPI_SHORT; lf_mpi_error_text says it in words.
// Message sizes are in bytes and may exceed INT_MAX: longer ones travel in pieces, and a size of
// zero moves nothing.  All ranks are ranks of MPI_COMM_WORLD.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define LF_MPI_SHORT (-1)       // a message was shorter than the buffer that waited for it

// Starts MPI for calls from any thread; *multiple is 1 where the library really allows that.
int lf_mpi_init(int *multiple);
int lf_mpi_finalize(void);
void lf_mpi_abort(int status);
void lf_mpi_error_text(int code, char *text, size_t capacity);

int lf_mpi_rank(int *rank);
int lf_mpi_size(int *size);
// The ranks that share memory with this one, ascending; `ranks` has room for all.
int lf_mpi_node_ranks(int *ranks, int *count);

int lf_mpi_send(const void *data, size_t bytes, int peer, int tag);
int lf_mpi_receive(void *data, size_t bytes, int peer, int tag);
int lf_mpi_exchange(const void *out, size_t out_bytes, void *in, size_t in_bytes, int peer,
                    int tag);
// Does a message wait?  `peer` -1 is any; *source is the sender, or -1 where nothing waits.
int lf_mpi_probe(int peer, int tag, int *source);

int lf_mpi_barrier(void);
int lf_mpi_broadcast(void *data, size_t bytes, int root);
// In place, in the library's own order of additions.
int lf_mpi_sum_float(float *values, size_t count);
// In place; operation 0 sum, 1 max, 2 min.
int lf_mpi_reduce_int64(int64_t *values, size_t count, int operation);

// Memory shared by all ranks of one node (an error where they live on several).  Every rank owns a
// part of `bytes`, page-aligned; `parts` has room for one address per rank.
int lf_mpi_window_create(size_t bytes, int *window, void **parts);
int lf_mpi_window_sync(int window);
int lf_mpi_window_free(int window);
