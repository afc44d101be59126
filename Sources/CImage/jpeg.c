#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "cimage.h"

static int32_t fail(tjhandle handle, cimage_failure *failure) {
  strncpy(failure->message, tjGetErrorStr2(handle), sizeof failure->message - 1);
  failure->message[sizeof failure->message - 1] = 0;
  if (handle) tjDestroy(handle);
  return -1;
}

int32_t cimage_jpeg_header(
    const uint8_t *bytes, size_t count, cimage_jpeg_info *info, cimage_failure *failure) {
  tjhandle handle = tjInitDecompress();
  int subsampling, colorspace;
  if (!handle ||
      tjDecompressHeader3(
          handle, bytes, count, &info->width, &info->height, &subsampling, &colorspace))
    return fail(handle, failure);
  info->is_cmyk = colorspace == TJCS_CMYK || colorspace == TJCS_YCCK;
  tjDestroy(handle);
  return 0;
}

int32_t cimage_jpeg_read(
    const uint8_t *bytes, size_t count, int32_t width, int32_t height, int32_t channels,
    uint8_t *pixels, cimage_failure *failure) {
  tjhandle handle = tjInitDecompress();
  // A premature end is only a warning to the library: the missing part would come out grey.
  int flags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS;
  int format = channels == 4 ? TJPF_CMYK : TJPF_RGB;
  if (!handle ||
      tjDecompress2(handle, bytes, count, pixels, width, channels * width, height, format, flags))
    return fail(handle, failure);
  tjDestroy(handle);
  return 0;
}

int32_t cimage_jpeg_write(
    const uint8_t *pixels, uint32_t width, uint32_t height, int32_t quality, uint8_t **out,
    size_t *out_count, cimage_failure *failure) {
  tjhandle handle = tjInitCompress();
  unsigned char *bytes = NULL;
  unsigned long count = 0;
  if (!handle ||
      tjCompress2(
          handle, pixels, (int)width, 3 * (int)width, (int)height, TJPF_RGB, &bytes, &count,
          TJSAMP_420, quality, TJFLAG_ACCURATEDCT)) {
    tjFree(bytes);
    return fail(handle, failure);
  }
  // The library's memory is its own to free.
  *out = malloc(count ? count : 1);
  if (*out) memcpy(*out, bytes, count);
  *out_count = count;
  tjFree(bytes);
  if (!*out) {
    strcpy(failure->message, "out of memory");
    tjDestroy(handle);
    return -1;
  }
  tjDestroy(handle);
  return 0;
}
