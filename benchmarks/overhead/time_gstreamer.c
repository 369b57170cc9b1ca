/* PROGRAM BUNDLE: from a buffer that enters a pipeline until it leaves it with its metadata. */
#include "timed.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/video/video.h>

int main(int count, char **arguments) {
  gst_init(NULL, NULL);
  if (count < 2) return 2;
  gchar *text = g_strdup_printf("appsrc name=in format=time caps=video/x-raw,format=NV12,width=%d,height=%d,framerate=30/1,colorimetry=bt709 ! "
                                "edgecinfer bundle=\"%s\" logits=true ! appsink name=out sync=false", WIDTH, HEIGHT, arguments[1]);
  GstElement *pipeline = gst_parse_launch(text, NULL);
  if (!pipeline) return 1;
  GstAppSrc *in = GST_APP_SRC(gst_bin_get_by_name(GST_BIN(pipeline), "in"));
  GstAppSink *out = GST_APP_SINK(gst_bin_get_by_name(GST_BIN(pipeline), "out"));
  GstBus *bus = gst_element_get_bus(pipeline);
  GstMemory *memory = gst_memory_new_wrapped(GST_MEMORY_FLAG_READONLY, random_pixels(), HEIGHT * WIDTH * 3 / 2, 0, HEIGHT * WIDTH * 3 / 2, NULL, NULL);
  gst_element_set_state(pipeline, GST_STATE_PLAYING);
  for (int n; (n = next_count());)
    while (n--) {
      long long begin = now();
      GstBuffer *buffer = gst_buffer_new();
      gst_buffer_append_memory(buffer, gst_memory_ref(memory));
      gst_app_src_push_buffer(in, buffer);
      GstSample *sample = gst_app_sink_pull_sample(out);
      if (!sample || !gst_buffer_get_video_region_of_interest_meta_id(gst_sample_get_buffer(sample), 0)) return 1;
      tell(now() - begin, !n);
      gst_sample_unref(sample);
      for (GstMessage *m; (m = gst_bus_pop(bus));) gst_message_unref(m);
    }
  return 0;
}
