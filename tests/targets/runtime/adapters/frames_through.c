/* PROGRAM BUNDLE [PROPERTIES] < frames: logits of each, out of the element's messages, which its metadata has to equal. */
#include "frame_stream.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/video/video.h>
#include <string.h>

static const char *const formats[] = {NULL, "RGB", "BGR", "GRAY8", "RGBA", "BGRA", "NV12", "I420", "YUY2", "UYVY"};

static int fail(const char *text) {
  fprintf(stderr, "%s\n", text);
  return 1;
}

static GstCaps *caps_of(const edgec_frame *f) {
  GstCaps *caps = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, formats[f->pixels], "width", G_TYPE_INT, f->width, "height",
                                      G_TYPE_INT, f->height, "framerate", GST_TYPE_FRACTION, 30, 1, NULL);
  if (!f->matrix) return caps;
  GstVideoColorimetry c = {f->range == EDGEC_FULL_RANGE ? GST_VIDEO_COLOR_RANGE_0_255 : GST_VIDEO_COLOR_RANGE_16_235,
                           f->matrix == EDGEC_BT601 ? GST_VIDEO_COLOR_MATRIX_BT601 : GST_VIDEO_COLOR_MATRIX_BT709, GST_VIDEO_TRANSFER_UNKNOWN,
                           GST_VIDEO_COLOR_PRIMARIES_UNKNOWN};
  gchar *text = gst_video_colorimetry_to_string(&c);
  gst_caps_set_simple(caps, "colorimetry", G_TYPE_STRING, text, NULL);
  g_free(text);
  return caps;
}

static GstBuffer *buffer_of(const edgec_frame *f, GstVideoInfo *info) {
  GstBuffer *buffer = gst_buffer_new();
  gsize offsets[GST_VIDEO_MAX_PLANES] = {0}, offset = 0;
  gint strides[GST_VIDEO_MAX_PLANES] = {0};
  for (guint i = 0; i < GST_VIDEO_INFO_N_PLANES(info); i++) {
    gsize size = f->strides[i] * (gsize)GST_VIDEO_INFO_COMP_HEIGHT(info, i);
    GstMemory *memory = gst_allocator_alloc(NULL, size, NULL);
    GstMapInfo map;
    gst_memory_map(memory, &map, GST_MAP_WRITE);
    memset(map.data, 7, size);
    memcpy(map.data, f->planes[i], size - f->strides[i]);
    gsize last = (gsize)GST_VIDEO_INFO_COMP_WIDTH(info, i) * (gsize)GST_VIDEO_INFO_COMP_PSTRIDE(info, i);
    memcpy(map.data + size - f->strides[i], f->planes[i] + size - f->strides[i], last > f->strides[i] ? f->strides[i] : last);
    gst_memory_unmap(memory, &map);
    gst_buffer_append_memory(buffer, memory);
    offsets[i] = offset;
    strides[i] = (gint)f->strides[i];
    offset += size;
  }
  gst_buffer_add_video_meta_full(buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_INFO_FORMAT(info), (guint)f->width, (guint)f->height,
                                 GST_VIDEO_INFO_N_PLANES(info), offsets, strides);
  if (f->top || f->left || f->crop_height || f->crop_width) {
    GstVideoCropMeta *crop = gst_buffer_add_video_crop_meta(buffer);
    crop->x = (guint)f->left;
    crop->y = (guint)f->top;
    crop->width = (guint)(f->crop_width ? f->crop_width : f->width - f->left);
    crop->height = (guint)(f->crop_height ? f->crop_height : f->height - f->top);
  }
  return buffer;
}

static GBytes *logits_of(const GstStructure *s) {
  GBytes *bytes = NULL;
  return s && gst_structure_get(s, "logits", G_TYPE_BYTES, &bytes, NULL) ? bytes : NULL;
}

static int compare(GstSample *sample, GstMessage *message) {
  gpointer state = NULL;
  GstMeta *meta = gst_buffer_iterate_meta_filtered(gst_sample_get_buffer(sample), &state, GST_VIDEO_REGION_OF_INTEREST_META_API_TYPE);
  if (!meta) return fail("the buffer has no metadata");
  GBytes *held = logits_of(gst_video_region_of_interest_meta_get_param((GstVideoRegionOfInterestMeta *)meta, "edgec"));
  GBytes *told = logits_of(gst_message_get_structure(message));
  if (!held || !told || !g_bytes_equal(held, told)) return fail("metadata and message differ");
  fwrite(g_bytes_get_data(told, NULL), g_bytes_get_size(told), 1, stdout);
  g_bytes_unref(held);
  g_bytes_unref(told);
  return 0;
}

int main(int count, char **arguments) {
  gst_init(NULL, NULL);
  if (count < 2) return 2;
  gchar *text = g_strdup_printf("appsrc name=in format=time ! edgecinfer bundle=\"%s\" logits=true %s ! appsink name=out sync=false",
                                arguments[1], count > 2 ? arguments[2] : "");
  GError *error = NULL;
  GstElement *pipeline = gst_parse_launch(text, &error);
  if (!pipeline || error) return fail(error->message);
  g_free(text);
  GstElement *in = gst_bin_get_by_name(GST_BIN(pipeline), "in"), *out = gst_bin_get_by_name(GST_BIN(pipeline), "out");
  GstBus *bus = gst_element_get_bus(pipeline);
  gst_element_set_state(pipeline, GST_STATE_PLAYING);
  edgec_frame frame;
  unsigned char *planes[3];
  while (read_frame(&frame, planes) == 1) {
    GstVideoInfo info;
    GstCaps *caps = caps_of(&frame);
    if (!gst_video_info_from_caps(&info, caps)) return fail("no caps");
    gst_app_src_set_caps(GST_APP_SRC(in), caps);
    gst_caps_unref(caps);
    gst_app_src_push_buffer(GST_APP_SRC(in), buffer_of(&frame, &info));
    GstMessage *message = gst_bus_timed_pop_filtered(bus, 60 * GST_SECOND, GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR);
    if (!message) return fail("no message");
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
      gchar *more = NULL;
      gst_message_parse_error(message, &error, &more);
      fprintf(stderr, "%s\n%s\n", error->message, more ? more : "");
      return 1;
    }
    GstSample *sample = gst_app_sink_pull_sample(GST_APP_SINK(out));
    if (!sample || compare(sample, message)) return fail("no frame came out");
    gst_sample_unref(sample);
    gst_message_unref(message);
    for (int i = 0; i < 3; i++) free(planes[i]);
  }
  gst_element_set_state(pipeline, GST_STATE_NULL);
  gst_object_unref(bus);
  gst_object_unref(in);
  gst_object_unref(out);
  gst_object_unref(pipeline);
  gst_deinit();
  return 0;
}
