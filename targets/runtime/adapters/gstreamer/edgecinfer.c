/* edgecinfer: a GStreamer element that classifies the frames that pass, by libedgec. GStreamer 1.14 and later.
 *
 *   gst-launch-1.0 -m v4l2src ! edgecinfer bundle=resnet20-fashion-rpi5.edgec ! autovideosink
 *
 * Frames pass unchanged. Each gets a GstVideoRegionOfInterestMeta, whose type is the likeliest class and whose parameter
 * "edgec" has all that the element message of the same name has: labels, probabilities, and logits if they are asked for.
 */
#include <edgec.h>

#include <gst/base/gstbasetransform.h>
#include <gst/video/video.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FORMATS "{ RGB, BGR, GRAY8, RGBA, RGBx, BGRA, BGRx, NV12, I420, YUY2, UYVY }"
enum { LARGEST_TOP = 1000, LONGEST_CROP = 4 };

G_DECLARE_FINAL_TYPE(EdgecInfer, edgec_infer, EDGEC, INFER, GstBaseTransform)

struct _EdgecInfer {
  GstBaseTransform parent;
  gchar *bundle, *sha256;
  gint threads, top, matrix, range, crop[LONGEST_CROP];
  gboolean messages, with_logits;
  edgec_network *network;
  edgec_context *context;
  edgec_description about;
  GstVideoInfo video;
  edgec_frame form; /* of all frames, but for their planes */
  float *logits;
  edgec_class *classes;
};

G_DEFINE_TYPE(EdgecInfer, edgec_infer, GST_TYPE_BASE_TRANSFORM)

enum { BUNDLE = 1, SHA256, THREADS, TOP, MATRIX, RANGE, CROP, MESSAGES, LOGITS };

static GstStaticPadTemplate sink = GST_STATIC_PAD_TEMPLATE("sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_VIDEO_CAPS_MAKE(FORMATS)));
static GstStaticPadTemplate src = GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_VIDEO_CAPS_MAKE(FORMATS)));

static GType matrix_type(void) {
  static gsize type;
  static const GEnumValue values[] = {{0, "What the caps say", "caps"}, {EDGEC_BT601, "BT.601", "bt601"}, {EDGEC_BT709, "BT.709", "bt709"}, {0, NULL, NULL}};
  if (g_once_init_enter(&type)) g_once_init_leave(&type, g_enum_register_static("EdgecInferMatrix", values));
  return type;
}

static GType range_type(void) {
  static gsize type;
  static const GEnumValue values[] = {{0, "What the caps say", "caps"}, {EDGEC_LIMITED_RANGE, "Y is 16 to 235", "limited"}, {EDGEC_FULL_RANGE, "0 to 255", "full"}, {0, NULL, NULL}};
  if (g_once_init_enter(&type)) g_once_init_leave(&type, g_enum_register_static("EdgecInferRange", values));
  return type;
}

static edgec_pixels pixels_of(GstVideoFormat format) {
  switch (format) {
  case GST_VIDEO_FORMAT_RGB: return EDGEC_RGB;
  case GST_VIDEO_FORMAT_BGR: return EDGEC_BGR;
  case GST_VIDEO_FORMAT_GRAY8: return EDGEC_GRAY;
  case GST_VIDEO_FORMAT_RGBA:
  case GST_VIDEO_FORMAT_RGBx: return EDGEC_RGBA;
  case GST_VIDEO_FORMAT_BGRA:
  case GST_VIDEO_FORMAT_BGRx: return EDGEC_BGRA;
  case GST_VIDEO_FORMAT_NV12: return EDGEC_NV12;
  case GST_VIDEO_FORMAT_I420: return EDGEC_I420;
  case GST_VIDEO_FORMAT_YUY2: return EDGEC_YUYV;
  case GST_VIDEO_FORMAT_UYVY: return EDGEC_UYVY;
  default: return 0; /* the templates allow no other */
  }
}

/* Where the caps say nothing, GStreamer guesses by the height. A guess here would give another picture without an error. */
static gboolean set_color(EdgecInfer *self, GstCaps *caps) {
  if (!GST_VIDEO_INFO_IS_YUV(&self->video)) return TRUE;
  gboolean told = gst_structure_has_field(gst_caps_get_structure(caps, 0), "colorimetry");
  GstVideoColorimetry *c = &self->video.colorimetry;
  gint matrix = c->matrix == GST_VIDEO_COLOR_MATRIX_BT601 ? EDGEC_BT601 : c->matrix == GST_VIDEO_COLOR_MATRIX_BT709 ? EDGEC_BT709 : 0;
  gint range = c->range == GST_VIDEO_COLOR_RANGE_16_235 ? EDGEC_LIMITED_RANGE : c->range == GST_VIDEO_COLOR_RANGE_0_255 ? EDGEC_FULL_RANGE : 0;
  self->form.matrix = self->matrix ? self->matrix : told ? matrix : 0;
  self->form.range = self->range ? self->range : told ? range : 0;
  if (self->form.matrix && self->form.range) return TRUE;
  gchar *text = gst_caps_to_string(caps);
  GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("The matrix (BT.601, BT.709) or the range (limited, full) of these frames is not known."),
                    ("Caps with a colorimetry, such as colorimetry=bt601, say both; so do the properties matrix and range. The caps are %s", text));
  g_free(text);
  return FALSE;
}

static gboolean set_caps(GstBaseTransform *base, GstCaps *caps, GstCaps *out) {
  EdgecInfer *self = EDGEC_INFER(base);
  edgec_error error;
  (void)out;
  if (!gst_video_info_from_caps(&self->video, caps)) return FALSE;
  self->form = (edgec_frame){.pixels = pixels_of(GST_VIDEO_INFO_FORMAT(&self->video)), .height = self->video.height, .width = self->video.width};
  if (!set_color(self, caps)) return FALSE;
  edgec_context_free(self->context);
  edgec_context_options options = {sizeof options, self->threads, self->video.height, self->video.width};
  if (!edgec_context_new(self->network, &options, &self->context, &error)) return TRUE;
  GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS, ("%s", error.text), (NULL));
  return FALSE;
}

static gboolean stop(GstBaseTransform *base) {
  EdgecInfer *self = EDGEC_INFER(base);
  edgec_context_free(self->context);
  edgec_close(self->network);
  g_clear_pointer(&self->logits, g_free);
  g_clear_pointer(&self->classes, g_free);
  self->context = NULL;
  self->network = NULL;
  return TRUE;
}

static gboolean start(GstBaseTransform *base) {
  EdgecInfer *self = EDGEC_INFER(base);
  edgec_error error;
  if (!self->bundle) {
    GST_ELEMENT_ERROR(self, RESOURCE, NOT_FOUND, ("No bundle is given."), ("Set the property bundle to a .edgec file, its folder, or an engine file."));
    return FALSE;
  }
  edgec_open_options options = {sizeof options, self->sha256};
  if (edgec_open(self->bundle, &options, &self->network, &error)) {
    GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ, ("%s", error.text), (NULL));
    return FALSE;
  }
  self->about = (edgec_description){.size = sizeof self->about};
  edgec_describe(self->network, &self->about);
  self->logits = g_new(float, self->about.logits);
  self->classes = g_new(edgec_class, MIN(self->top, self->about.classes));
  return TRUE;
}

/* The part of a frame that counts: what upstream cropped to without copying, and of that, what the property says. */
static void set_crop(EdgecInfer *self, GstBuffer *buffer, edgec_frame *frame) {
  GstVideoCropMeta *meta = gst_buffer_get_video_crop_meta(buffer);
  frame->top = self->crop[0];
  frame->left = self->crop[1];
  frame->crop_height = self->crop[2];
  frame->crop_width = self->crop[3];
  if (!meta || meta->x > G_MAXINT / 4 || meta->y > G_MAXINT / 4) return;
  if (!frame->crop_height) frame->crop_height = (gint)meta->height - frame->top;
  if (!frame->crop_width) frame->crop_width = (gint)meta->width - frame->left;
  frame->top += (gint)meta->y;
  frame->left += (gint)meta->x;
}

static void append(GValue *array, GType type, const edgec_class *one, const gchar *name) {
  GValue value = G_VALUE_INIT;
  g_value_init(&value, type);
  if (type == G_TYPE_STRING) g_value_set_string(&value, name);
  else if (type == G_TYPE_FLOAT) g_value_set_float(&value, one->probability);
  else g_value_set_int(&value, one->index);
  gst_value_array_append_and_take_value(array, &value);
}

static const gchar *class_name(EdgecInfer *self, gint index, gchar number[16]) {
  const gchar *name = edgec_class_name(self->network, index);
  if (!name) g_snprintf(number, 16, "%d", index);
  return name ? name : number;
}

static GstStructure *answer(EdgecInfer *self, GstBuffer *buffer, gint count) {
  GValue labels = G_VALUE_INIT, probabilities = G_VALUE_INIT, indices = G_VALUE_INIT;
  gchar number[16];
  gst_value_array_init(&labels, (guint)count);
  gst_value_array_init(&probabilities, (guint)count);
  gst_value_array_init(&indices, (guint)count);
  for (gint i = 0; i < count; i++) {
    append(&labels, G_TYPE_STRING, &self->classes[i], class_name(self, self->classes[i].index, number));
    append(&probabilities, G_TYPE_FLOAT, &self->classes[i], NULL);
    append(&indices, G_TYPE_INT, &self->classes[i], NULL);
  }
  GstStructure *s = gst_structure_new("edgec", "model", G_TYPE_STRING, self->about.model, "timestamp", G_TYPE_UINT64, GST_BUFFER_PTS(buffer), NULL);
  gst_structure_take_value(s, "labels", &labels);
  gst_structure_take_value(s, "probabilities", &probabilities);
  gst_structure_take_value(s, "indices", &indices);
  if (self->with_logits) {
    GBytes *bytes = g_bytes_new(self->logits, self->about.logits * sizeof *self->logits);
    gst_structure_set(s, "logits", G_TYPE_BYTES, bytes, NULL);
    g_bytes_unref(bytes);
  }
  return s;
}

/* No class follows from logits that are not numbers. */
static gboolean are_numbers(const EdgecInfer *self) {
  gsize wrong = 0;
  for (gsize i = 0; i < self->about.logits; i++) wrong += !isfinite(self->logits[i]);
  if (wrong)
    GST_ELEMENT_ERROR(self, STREAM, FAILED, ("The engine gave %zu of %zu logits that are not numbers, so there is no answer.", wrong, self->about.logits), (NULL));
  return !wrong;
}

static void tell(EdgecInfer *self, GstBuffer *buffer, const edgec_frame *frame) {
  gint count = edgec_likeliest(self->network, self->logits, self->classes, MIN(self->top, self->about.classes));
  gchar number[16];
  GstStructure *s = answer(self, buffer, count);
  if (self->messages) gst_element_post_message(GST_ELEMENT(self), gst_message_new_element(GST_OBJECT(self), gst_structure_copy(s)));
  guint width = (guint)(frame->crop_width ? frame->crop_width : frame->width - frame->left);
  guint height = (guint)(frame->crop_height ? frame->crop_height : frame->height - frame->top);
  const gchar *label = count ? class_name(self, self->classes[0].index, number) : "map";
  GstVideoRegionOfInterestMeta *meta = gst_buffer_add_video_region_of_interest_meta(buffer, label, (guint)frame->left, (guint)frame->top, width, height);
  gst_video_region_of_interest_meta_add_param(meta, s);
}

/* The base class hands over a buffer whose metadata can be written to; its memory is read alone, and so never copied. */
static GstFlowReturn transform_ip(GstBaseTransform *base, GstBuffer *buffer) {
  EdgecInfer *self = EDGEC_INFER(base);
  edgec_frame frame = self->form;
  edgec_error error;
  GstVideoFrame held;
  if (!gst_video_frame_map(&held, &self->video, buffer, GST_MAP_READ | GST_VIDEO_FRAME_MAP_FLAG_NO_REF)) {
    GST_ELEMENT_ERROR(self, STREAM, FAILED, ("A frame cannot be read."), (NULL));
    return GST_FLOW_ERROR;
  }
  for (guint i = 0; i < GST_VIDEO_FRAME_N_PLANES(&held) && i < 3; i++) {
    frame.planes[i] = GST_VIDEO_FRAME_PLANE_DATA(&held, i);
    frame.strides[i] = (size_t)GST_VIDEO_FRAME_PLANE_STRIDE(&held, i); /* a negative one is refused as too large */
  }
  frame.height = GST_VIDEO_FRAME_HEIGHT(&held);
  frame.width = GST_VIDEO_FRAME_WIDTH(&held);
  set_crop(self, buffer, &frame);
  edgec_status status = edgec_run_frame(self->context, &frame, self->logits, &error);
  gst_video_frame_unmap(&held);
  if (status) {
    GST_ELEMENT_ERROR(self, STREAM, FAILED, ("%s", error.text), (NULL));
    return GST_FLOW_ERROR;
  }
  if (!are_numbers(self)) return GST_FLOW_ERROR;
  tell(self, buffer, &frame);
  return GST_FLOW_OK;
}

/* Buffers go on as they are, so what may be offered to upstream is what downstream takes. */
static gboolean propose_allocation(GstBaseTransform *base, GstQuery *decided, GstQuery *query) {
  (void)decided;
  return gst_pad_peer_query(GST_BASE_TRANSFORM_SRC_PAD(base), query);
}

static void read_crop(EdgecInfer *self, const gchar *text) {
  gint crop[LONGEST_CROP];
  gchar rest;
  gboolean right = text && sscanf(text, "%d,%d,%d,%d%c", &crop[0], &crop[1], &crop[2], &crop[3], &rest) == LONGEST_CROP;
  for (gint i = 0; right && i < LONGEST_CROP; i++) right = crop[i] >= 0 && crop[i] <= 16384;
  if (right) memcpy(self->crop, crop, sizeof crop);
  else g_warning("edgecinfer: crop is four numbers, TOP,LEFT,HEIGHT,WIDTH from 0 to 16384, and not '%s'", text ? text : "");
}

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec) {
  EdgecInfer *self = EDGEC_INFER(object);
  switch (id) {
  case BUNDLE:
    g_free(self->bundle);
    self->bundle = g_value_dup_string(value);
    break;
  case SHA256:
    g_free(self->sha256);
    self->sha256 = g_value_dup_string(value);
    break;
  case THREADS: self->threads = g_value_get_int(value); break;
  case TOP: self->top = g_value_get_int(value); break;
  case MATRIX: self->matrix = g_value_get_enum(value); break;
  case RANGE: self->range = g_value_get_enum(value); break;
  case CROP: read_crop(self, g_value_get_string(value)); break;
  case MESSAGES: self->messages = g_value_get_boolean(value); break;
  case LOGITS: self->with_logits = g_value_get_boolean(value); break;
  default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
  }
}

static void get_property(GObject *object, guint id, GValue *value, GParamSpec *spec) {
  EdgecInfer *self = EDGEC_INFER(object);
  switch (id) {
  case BUNDLE: g_value_set_string(value, self->bundle); break;
  case SHA256: g_value_set_string(value, self->sha256); break;
  case THREADS: g_value_set_int(value, self->threads); break;
  case TOP: g_value_set_int(value, self->top); break;
  case MATRIX: g_value_set_enum(value, self->matrix); break;
  case RANGE: g_value_set_enum(value, self->range); break;
  case CROP: g_value_take_string(value, g_strdup_printf("%d,%d,%d,%d", self->crop[0], self->crop[1], self->crop[2], self->crop[3])); break;
  case MESSAGES: g_value_set_boolean(value, self->messages); break;
  case LOGITS: g_value_set_boolean(value, self->with_logits); break;
  default: G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
  }
}

static void finalize(GObject *object) {
  EdgecInfer *self = EDGEC_INFER(object);
  g_free(self->bundle);
  g_free(self->sha256);
  G_OBJECT_CLASS(edgec_infer_parent_class)->finalize(object);
}

static void edgec_infer_init(EdgecInfer *self) {
  self->threads = 1;
  self->top = 5;
  self->messages = TRUE;
  gst_base_transform_set_in_place(GST_BASE_TRANSFORM(self), TRUE);
}

static void add_properties(GObjectClass *object) {
  GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;
  g_object_class_install_property(object, BUNDLE, g_param_spec_string("bundle", "Bundle", "A .edgec file, its folder, or an engine file", NULL, flags));
  g_object_class_install_property(object, SHA256, g_param_spec_string("sha256", "SHA-256", "64 hexadecimal digits that the file has to have", NULL, flags));
  g_object_class_install_property(object, THREADS, g_param_spec_int("threads", "Threads", "Threads of one inference", 1, 64, 1, flags));
  g_object_class_install_property(object, TOP, g_param_spec_int("top", "Top", "How many of the likeliest classes are told", 1, LARGEST_TOP, 5, flags));
  g_object_class_install_property(object, MATRIX, g_param_spec_enum("matrix", "Matrix", "Of YUV, against what the caps say", matrix_type(), 0, flags));
  g_object_class_install_property(object, RANGE, g_param_spec_enum("range", "Range", "Of YUV, against what the caps say", range_type(), 0, flags));
  g_object_class_install_property(object, CROP, g_param_spec_string("crop", "Crop", "The part to classify: TOP,LEFT,HEIGHT,WIDTH; a size of 0 is the rest", "0,0,0,0", flags));
  g_object_class_install_property(object, MESSAGES, g_param_spec_boolean("messages", "Messages", "Post an element message for each frame", TRUE, flags));
  g_object_class_install_property(object, LOGITS, g_param_spec_boolean("logits", "Logits", "Add the float32 logits, as bytes, to messages and metadata", FALSE, flags));
}

static void edgec_infer_class_init(EdgecInferClass *class) {
  GObjectClass *object = G_OBJECT_CLASS(class);
  GstElementClass *element = GST_ELEMENT_CLASS(class);
  GstBaseTransformClass *base = GST_BASE_TRANSFORM_CLASS(class);
  object->set_property = set_property;
  object->get_property = get_property;
  object->finalize = finalize;
  add_properties(object);
  gst_element_class_set_static_metadata(element, "Classifier by libedgec", "Filter/Analyzer/Video", "Classify frames with a network that edgec compiled", "edgec");
  gst_element_class_add_static_pad_template(element, &sink);
  gst_element_class_add_static_pad_template(element, &src);
  base->start = start;
  base->stop = stop;
  base->set_caps = set_caps;
  base->transform_ip = transform_ip;
  base->propose_allocation = propose_allocation;
}

static gboolean plugin_init(GstPlugin *plugin) { return gst_element_register(plugin, "edgecinfer", GST_RANK_NONE, edgec_infer_get_type()); }

#define PACKAGE "edgec"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, edgecinfer, "Networks that edgec compiled", plugin_init, "1.0", "MIT/X11", "edgec", "edgec")
