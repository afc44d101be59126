#include <string.h>
#include <webp/decode.h>

#include "cimage.h"

static int32_t fail(VP8StatusCode status, cimage_failure *failure) {
  const char *text = status == VP8_STATUS_OUT_OF_MEMORY         ? "out of memory"
                     : status == VP8_STATUS_UNSUPPORTED_FEATURE ? "unsupported feature"
                     : status == VP8_STATUS_NOT_ENOUGH_DATA     ? "the file ends early"
                     : status == VP8_STATUS_BITSTREAM_ERROR     ? "bitstream error"
                                                                : "libwebp refuses it";
  strncpy(failure->message, text, sizeof failure->message - 1);
  failure->message[sizeof failure->message - 1] = 0;
  return -1;
}

int32_t cimage_webp_header(
    const uint8_t *bytes, size_t count, cimage_webp_info *info, cimage_failure *failure) {
  WebPBitstreamFeatures features;
  VP8StatusCode status = WebPGetFeatures(bytes, count, &features);
  if (status != VP8_STATUS_OK) return fail(status, failure);
  *info = (cimage_webp_info){features.width, features.height, features.has_animation};
  return 0;
}

int32_t cimage_webp_read(
    const uint8_t *bytes, size_t count, int32_t width, int32_t height, uint8_t *pixels,
    cimage_failure *failure) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) return fail(VP8_STATUS_INVALID_PARAM, failure);
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = pixels;
  config.output.u.RGBA.stride = 3 * width;
  config.output.u.RGBA.size = (size_t)3 * width * height;
  VP8StatusCode status = WebPDecode(bytes, count, &config);
  WebPFreeDecBuffer(&config.output);
  return status == VP8_STATUS_OK ? 0 : fail(status, failure);
}
