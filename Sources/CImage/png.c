#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "cimage.h"

// Ancillary chunks (text, colour profiles) may inflate to this many bytes.
#define CHUNK_LIMIT (16u << 20)

typedef struct {
  const uint8_t *bytes;
  size_t count, position;
  cimage_failure *failure;
} source;

typedef struct {
  uint8_t *bytes;
  size_t count, capacity;
  cimage_failure *failure;
} sink;

static void note(cimage_failure *failure, const char *message) {
  strncpy(failure->message, message, sizeof failure->message - 1);
  failure->message[sizeof failure->message - 1] = 0;
}

static void on_error(png_structp png, png_const_charp message) {
  note(png_get_error_ptr(png), message);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
  (void)png, (void)message;
}

static void on_read(png_structp png, png_bytep out, size_t count) {
  source *from = png_get_io_ptr(png);
  if (count > from->count - from->position) png_error(png, "the file ends early");
  memcpy(out, from->bytes + from->position, count);
  from->position += count;
}

static void on_write(png_structp png, png_bytep bytes, size_t count) {
  sink *to = png_get_io_ptr(png);
  if (count > to->capacity - to->count) {
    size_t capacity = 2 * to->capacity + count;
    uint8_t *grown = realloc(to->bytes, capacity);
    if (!grown) png_error(png, "out of memory");
    to->bytes = grown;
    to->capacity = capacity;
  }
  memcpy(to->bytes + to->count, bytes, count);
  to->count += count;
}

static void on_flush(png_structp png) { (void)png; }

typedef enum { HEADER, RGB, VALUES } wanted;

// Everything that libpng may leave by longjmp; no local of it is read after the jump.
static void decode(
    png_structp png, png_infop info, wanted what, cimage_png_info *header, uint8_t *pixels) {
  png_set_user_limits(png, CIMAGE_MAX_SIDE, CIMAGE_MAX_SIDE);
  png_set_chunk_malloc_max(png, CHUNK_LIMIT);
  png_read_info(png, info);
  uint32_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
  int type = png_get_color_type(png, info), depth = png_get_bit_depth(png, info);
  if (what == HEADER) {
    *header = (cimage_png_info){width, height, type, depth};
    return;
  }
  if (what == RGB) {
    if (depth == 16) png_set_strip_16(png);
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (type == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(png);
    if (!(type & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(png);
    png_set_strip_alpha(png);
  } else {
    png_set_packing(png);
  }
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, info);
  size_t stride = (size_t)width * (what == RGB ? 3 : 1);
  if (png_get_rowbytes(png, info) != stride) png_error(png, "unexpected pixel layout");
  for (int pass = 0; pass < passes; pass++)
    for (uint32_t y = 0; y < height; y++) png_read_row(png, pixels + y * stride, NULL);
  png_read_end(png, NULL);
}

static int32_t read_png(
    const uint8_t *bytes, size_t count, wanted what, cimage_png_info *header, uint8_t *pixels,
    cimage_failure *failure) {
  source from = {bytes, count, 0, failure};
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, failure, on_error, on_warning);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  if (!info) {
    png_destroy_read_struct(&png, NULL, NULL);
    note(failure, "libpng could not start");
    return -1;
  }
  if (setjmp(png_jmpbuf(png))) {
    png_destroy_read_struct(&png, &info, NULL);
    failure->offset = from.position;
    return -1;
  }
  png_set_read_fn(png, &from, on_read);
  decode(png, info, what, header, pixels);
  png_destroy_read_struct(&png, &info, NULL);
  return 0;
}

int32_t cimage_png_header(
    const uint8_t *bytes, size_t count, cimage_png_info *info, cimage_failure *failure) {
  return read_png(bytes, count, HEADER, info, NULL, failure);
}

int32_t cimage_png_read_rgb(
    const uint8_t *bytes, size_t count, uint8_t *pixels, cimage_failure *failure) {
  return read_png(bytes, count, RGB, NULL, pixels, failure);
}

int32_t cimage_png_read_values(
    const uint8_t *bytes, size_t count, uint8_t *values, cimage_failure *failure) {
  return read_png(bytes, count, VALUES, NULL, values, failure);
}

static void encode(
    png_structp png, png_infop info, const uint8_t *pixels, uint32_t width, uint32_t height,
    int32_t channels, const uint8_t *palette, int32_t palette_count) {
  png_set_user_limits(png, CIMAGE_MAX_SIDE, CIMAGE_MAX_SIDE);
  int type = channels == 3 ? PNG_COLOR_TYPE_RGB
             : palette    ? PNG_COLOR_TYPE_PALETTE
                          : PNG_COLOR_TYPE_GRAY;
  png_set_IHDR(
      png, info, width, height, 8, type, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
      PNG_FILTER_TYPE_DEFAULT);
  if (type == PNG_COLOR_TYPE_PALETTE) {
    png_color entries[256];
    for (int i = 0; i < palette_count && i < 256; i++)
      entries[i] = (png_color){palette[3 * i], palette[3 * i + 1], palette[3 * i + 2]};
    png_set_PLTE(png, info, entries, palette_count);
  }
  png_write_info(png, info);
  size_t stride = (size_t)width * channels;
  for (uint32_t y = 0; y < height; y++) png_write_row(png, pixels + y * stride);
  png_write_end(png, NULL);
}

int32_t cimage_png_write(
    const uint8_t *pixels, uint32_t width, uint32_t height, int32_t channels,
    const uint8_t *palette, int32_t palette_count, uint8_t **out, size_t *out_count,
    cimage_failure *failure) {
  sink to = {NULL, 0, 0, failure};
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, failure, on_error, on_warning);
  png_infop info = png ? png_create_info_struct(png) : NULL;
  if (!info) {
    png_destroy_write_struct(&png, NULL);
    note(failure, "libpng could not start");
    return -1;
  }
  if (setjmp(png_jmpbuf(png))) {
    png_destroy_write_struct(&png, &info);
    free(to.bytes);
    return -1;
  }
  png_set_write_fn(png, &to, on_write, on_flush);
  encode(png, info, pixels, width, height, channels, palette, palette_count);
  png_destroy_write_struct(&png, &info);
  *out = to.bytes;
  *out_count = to.count;
  return 0;
}
