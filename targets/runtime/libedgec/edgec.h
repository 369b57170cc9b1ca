/* libedgec: networks that edgec has compiled, in any program. C99 and later, C++.
 *
 *   edgec_network *network;
 *   edgec_context *context;
 *   edgec_error error;
 *   if (edgec_open("resnet20-fashion-rpi5.edgec", NULL, &network, &error)) return complain(error.text);
 *   if (edgec_context_new(network, NULL, &context, &error)) return complain(error.text);
 *   edgec_run_frame(context, &frame, logits, &error);
 *
 * A network may be used by any number of threads at the same time, a context by one thread at a time. To run one network
 * in several threads, create a context for each: they share the network's weights.
 *
 * Nothing here ends the program, writes to a stream, changes a signal or keeps state of its own outside its handles.
 * Only edgec_open, edgec_open_memory, edgec_context_new and edgec_decode allocate memory, and none but the first two reads files. edgec_run, edgec_prepare and
 * edgec_run_frame do not allocate and take no lock; with one thread they make no system call that may wait, so a real-time
 * thread may call them. They need 1 MiB of stack.
 *
 * The logits are the bits that `edgec validate` compared, on every processor and with any number of threads.
 */
#ifndef EDGEC_H
#define EDGEC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Programs that were compiled for one minor version run with later ones of the same major version. */
#define EDGEC_VERSION_MAJOR 1
#define EDGEC_VERSION_MINOR 1

#define EDGEC_API __attribute__((visibility("default")))

/* The library's own version: major * 1000 + minor. */
EDGEC_API int edgec_version(void);

typedef enum {
  EDGEC_OK = 0,
  EDGEC_BAD_ARGUMENT, /* a pointer is NULL, or a number is out of its range */
  EDGEC_NO_FILE,      /* the file cannot be opened or read */
  EDGEC_NO_BUNDLE,    /* it is not a bundle or engine of this version, or it is damaged */
  EDGEC_CHANGED,      /* its sha256 is another than was asked for, or than its manifest has */
  EDGEC_PROCESSOR,    /* the engine needs another processor than this one */
  EDGEC_NO_MEMORY,
  EDGEC_SYSTEM,       /* the system refuses threads, or memory that holds machine code */
  EDGEC_BAD_FRAME,    /* a frame's description cannot be right; edgec_run_frame and edgec_prepare */
  EDGEC_BAD_PICTURE   /* a file is not JPEG or PNG, is damaged or too large; edgec_decode; since 1.1 */
} edgec_status;

/* A few words for a status; "unknown status" for other numbers. */
EDGEC_API const char *edgec_status_text(edgec_status status);

/* The error of one call. Pass its address to get it; NULL is allowed everywhere. */
typedef struct {
  edgec_status status;
  char text[240]; /* one sentence, which names the file or the number; "" after EDGEC_OK */
} edgec_error;

/* -- Networks -------------------------------------------------------------------------------------------------------- */

typedef struct edgec_network edgec_network;

typedef struct {
  size_t size;        /* sizeof(edgec_open_options), so that later versions may add fields */
  const char *sha256; /* 64 hexadecimal digits that the file has to have, or NULL; of a folder: its manifest.json */
} edgec_open_options;

/* Open a bundle (a .edgec file, or the folder that it was unpacked to) or an engine file. An engine's sha256 is always
   compared with its bundle's manifest. `options` may be NULL. */
EDGEC_API edgec_status edgec_open(const char *path, const edgec_open_options *options, edgec_network **network,
                                  edgec_error *error);

/* The same for the bytes of a .edgec file or of an engine file, which are not needed afterwards. */
EDGEC_API edgec_status edgec_open_memory(const void *bytes, size_t size, const edgec_open_options *options,
                                         edgec_network **network, edgec_error *error);

/* Free a network. Its contexts have to be freed before. NULL is allowed. */
EDGEC_API void edgec_close(edgec_network *network);

/* How a picture is brought to the network's size: `fit` and `resize` in docs/onnx.md. */
typedef enum { EDGEC_FIT_PAD, EDGEC_FIT_LETTERBOX, EDGEC_FIT_CROP, EDGEC_FIT_STRETCH } edgec_fit_kind;

/* Strings belong to the network, and are UTF-8. */
typedef struct {
  size_t size;                     /* to be set by the caller: sizeof(edgec_description) */
  const char *model, *target;      /* of the bundle; "" for an engine file */
  const char *instructions;        /* the instruction set that the engine needs, such as "dotprod" */
  const char *sha256;              /* of the engine file */
  int32_t height, width, channels; /* of the input: uint8 [height][width][channels], RGB or gray */
  int32_t classes;
  int32_t output_height, output_width; /* of a map of classes; 1 and 1 where a picture has one class */
  size_t logits;                       /* how many floats a run writes: [classes][output_height][output_width] */
  edgec_fit_kind fit;
  int32_t resize;    /* with EDGEC_FIT_CROP: the shorter side before the crop, or 0: no more than needed */
  uint8_t border[4]; /* one value a channel, around what does not fill the input */
} edgec_description;

EDGEC_API edgec_status edgec_describe(const edgec_network *network, edgec_description *description);

/* The name of a class; NULL if there is no such class, or the network was opened from an engine file, which has none. */
EDGEC_API const char *edgec_class_name(const edgec_network *network, int32_t index);

/* -- Contexts -------------------------------------------------------------------------------------------------------- */

typedef struct edgec_context edgec_context;

typedef struct {
  size_t size;                   /* sizeof(edgec_context_options) */
  int32_t threads;               /* of one inference, the caller's included: 1 to 64; 0 means 1 */
  int32_t max_height, max_width; /* of frames, up to 16384; 0 means 2160 and 3840 */
} edgec_context_options;

/* Create a context, with all memory that runs need. `options` may be NULL. */
EDGEC_API edgec_status edgec_context_new(const edgec_network *network, const edgec_context_options *options,
                                         edgec_context **context, edgec_error *error);

/* NULL is allowed. */
EDGEC_API void edgec_context_free(edgec_context *context);

/* One inference on uint8 [height][width][channels], the network's input, into floats [logits]. */
EDGEC_API edgec_status edgec_run(edgec_context *context, const uint8_t *pixels, float *logits);

/* -- Frames as cameras give them --------------------------------------------------------------------------------------- */

/* The layout of pixels in memory. Only planes[0] is used, unless a comment says otherwise. */
typedef enum {
  EDGEC_RGB = 1,
  EDGEC_BGR,
  EDGEC_GRAY,
  EDGEC_RGBA, /* the fourth byte is not looked at, here and in BGRA */
  EDGEC_BGRA,
  EDGEC_NV12, /* Y; then U and V by turns for each two columns of two rows */
  EDGEC_I420, /* Y; U; V */
  EDGEC_YUYV, /* Y U Y V for two pixels beside each other, also called YUY2 */
  EDGEC_UYVY
} edgec_pixels;

/* The meaning of Y, U and V. There is no default: a wrong guess changes the picture and costs accuracy without an error. */
typedef enum { EDGEC_BT601 = 1, EDGEC_BT709 } edgec_matrix;
typedef enum {
  EDGEC_LIMITED_RANGE = 1, /* Y is 16 to 235, as cameras and video mostly have it */
  EDGEC_FULL_RANGE         /* 0 to 255, as in JPEG */
} edgec_range;

typedef struct {
  edgec_pixels pixels;
  edgec_matrix matrix;   /* of NV12, I420, YUYV and UYVY; others do not look at it */
  edgec_range range;     /* the same */
  int32_t height, width; /* of the whole frame */
  const uint8_t *planes[3];
  size_t strides[3];             /* bytes from a row to the next one, of each plane */
  int32_t top, left;             /* of the part that is to be classified */
  int32_t crop_height, crop_width; /* 0 and 0: everything from there on */
} edgec_frame;

/* Bring a frame into the form of the network's input, uint8 [height][width][channels]: to RGB or gray, then as
   edgec_describe says. All in integers: the same bytes everywhere, those that the network was calibrated and validated
   with for such a picture. */
EDGEC_API edgec_status edgec_prepare(edgec_context *context, const edgec_frame *frame, uint8_t *pixels, edgec_error *error);

/* edgec_prepare, then edgec_run. */
EDGEC_API edgec_status edgec_run_frame(edgec_context *context, const edgec_frame *frame, float *logits, edgec_error *error);

/* -- Pictures as files have them; since 1.1 ----------------------------------------------------------------------------- */

/* Decode the bytes of a JPEG or PNG file of any size into a frame, turned upright as EXIF says: EDGEC_RGB, or EDGEC_GRAY for a
   network of one channel. The pixels are those that the network was calibrated with, or the file is refused. They are
   allocated: call edgec_free_decoded. A context takes frames up to its own max_height and max_width. */
EDGEC_API edgec_status edgec_decode(const edgec_network *network, const void *file, size_t size, edgec_frame *frame,
                                    edgec_error *error);

/* Free the pixels of a frame of edgec_decode; all its fields become 0. NULL is allowed. */
EDGEC_API void edgec_free_decoded(edgec_frame *frame);

/* -- Answers ----------------------------------------------------------------------------------------------------------- */

typedef struct {
  int32_t index;
  float probability; /* of the softmax over all classes; its last bits may differ between machines, the logits' do not */
} edgec_class;

/* Write the `count` likeliest classes of a picture, likeliest first; of equal ones the first. Returns how many there are:
   0 if a logit is not a number, or the network gives a map of classes. */
EDGEC_API int32_t edgec_likeliest(const edgec_network *network, const float *logits, edgec_class *classes, int32_t count);

#ifdef __cplusplus
}
#endif

#endif
