// PNG over libpng and JPEG over TurboJPEG, between memory and memory.
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
