// PNG over libpng, JPEG over TurboJPEG and WebP over libwebp, between memory and memory, and the
// resampling of pixels.
//
// libpng reports errors by longjmp, which must not cross Swift frames: it stays inside these
// functions.  All return 0 or, with `failure` filled in, -1.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct {
  // Bytes consumed when the error was found; PNG reading only.
  size_t offset;
  char message[200];
} cimage_failure;

typedef struct {
  uint32_t width, height;
  // As in IHDR: 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA; bits per sample.
  int32_t color_type, bit_depth;
} cimage_png_info;

// Largest side of any image, read or written.
#define CIMAGE_MAX_SIDE 16384

int32_t cimage_png_header(
    const uint8_t *bytes, size_t count, cimage_png_info *info, cimage_failure *failure);

// RGB8, interleaved: palettes looked up, grey repeated, alpha dropped, the high byte of 16 bits.
// pixels: height * width * 3, of the size that cimage_png_header gave.
int32_t cimage_png_read_rgb(
    const uint8_t *bytes, size_t count, uint8_t *pixels, cimage_failure *failure);

// The stored values of a grey or palette image of at most 8 bits, unscaled.
// values: height * width.
int32_t cimage_png_read_values(
    const uint8_t *bytes, size_t count, uint8_t *values, cimage_failure *failure);

// Writes RGB8 (channels 3) or 8-bit grey (channels 1) or, with channels 1 and a palette of
// `palette_count` RGB entries, 8-bit palette.  *out is malloc'ed; the caller frees it.
// The bytes depend on the arguments alone: no time stamp is written.
int32_t cimage_png_write(
    const uint8_t *pixels, uint32_t width, uint32_t height, int32_t channels,
    const uint8_t *palette, int32_t palette_count, uint8_t **out, size_t *out_count,
    cimage_failure *failure);

typedef struct {
  int32_t width, height;
  int32_t is_cmyk;
} cimage_jpeg_info;

int32_t cimage_jpeg_header(
    const uint8_t *bytes, size_t count, cimage_jpeg_info *info, cimage_failure *failure);

// channels 3: RGB8 (grey repeated, YCbCr converted).  channels 4: CMYK as stored.
int32_t cimage_jpeg_read(
    const uint8_t *bytes, size_t count, int32_t width, int32_t height, int32_t channels,
    uint8_t *pixels, cimage_failure *failure);

// RGB8 to JPEG with halved chroma; quality 1 to 100.  *out is malloc'ed; the caller frees it.
int32_t cimage_jpeg_write(
    const uint8_t *pixels, uint32_t width, uint32_t height, int32_t quality, uint8_t **out,
    size_t *out_count, cimage_failure *failure);

typedef struct {
  int32_t width, height;
  int32_t is_animated;
} cimage_webp_info;

int32_t cimage_webp_header(
    const uint8_t *bytes, size_t count, cimage_webp_info *info, cimage_failure *failure);

// RGB8, alpha dropped.  pixels: height * width * 3, of the size that cimage_webp_header gave.
int32_t cimage_webp_read(
    const uint8_t *bytes, size_t count, int32_t width, int32_t height, uint8_t *pixels,
    cimage_failure *failure);

// How each of `count` output samples of a line is made from the input line: the sum of `width`
// samples from `first[i]` on, times `weights[i * width + k]`, in units of 2^-22.
typedef struct {
  int32_t count, width;
  const int32_t *first, *weights;
} cimage_taps;

// Resamples `rows` rows of `in_width` RGB8 pixels along x; strides count bytes.
// scratch: 8 * in_width int32, aligned to 32 bytes.
void cimage_resample_x(
    const uint8_t *in, size_t in_stride, int32_t in_width, uint8_t *out, size_t out_stride,
    int32_t rows, cimage_taps taps, int32_t *scratch);

// Resamples rows of `bytes` samples along y.
void cimage_resample_y(
    const uint8_t *in, size_t in_stride, uint8_t *out, size_t out_stride, int32_t bytes,
    cimage_taps taps);
