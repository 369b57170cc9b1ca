/* What a network says about itself, and what its logits mean. */
#include "network.h"

#include <math.h>
#include <string.h>

edgec_status edgec_describe(const edgec_network *n, edgec_description *into) {
  if (!n || !into || into->size < sizeof *into) return EDGEC_BAD_ARGUMENT;
  const edgec_program *p = n->code.program;
  const edgec_manifest *m = &n->manifest;
  *into = (edgec_description){
      .size = sizeof *into, .model = m->memory ? m->model : "", .target = m->memory ? m->target : "",
      .instructions = n->instructions, .sha256 = n->sha256,
      .height = (int32_t)p->height, .width = (int32_t)p->width, .channels = (int32_t)p->channels,
      .classes = (int32_t)(p->classes / p->output_pixels),
      .output_height = (int32_t)(m->memory ? m->output_height : 1),
      .output_width = (int32_t)(m->memory ? m->output_width : p->output_pixels),
      .logits = (size_t)p->classes, .fit = (edgec_fit_kind)m->fitting.fit, .resize = (int32_t)m->fitting.resize};
  memcpy(into->border, m->fitting.border, sizeof into->border);
  return EDGEC_OK;
}

const char *edgec_class_name(const edgec_network *n, int32_t index) {
  return n && n->manifest.memory && index >= 0 && index < n->manifest.class_count ? n->manifest.classes[index] : NULL;
}

/* The likeliest class behind `last` in the order of edgec_likeliest, or -1; `last` is -1 at first. */
static int32_t next_class(const float *logits, int32_t classes, int32_t last) {
  int32_t best = -1;
  for (int32_t k = 0; k < classes; k++) {
    int behind = last < 0 || logits[k] < logits[last] || (logits[k] == logits[last] && k > last);
    if (behind && (best < 0 || logits[k] > logits[best])) best = k;
  }
  return best;
}

int32_t edgec_likeliest(const edgec_network *n, const float *logits, edgec_class *classes, int32_t count) {
  if (!n || !logits || !classes || n->code.program->output_pixels != 1) return 0;
  int32_t all = (int32_t)n->code.program->classes, place = 0, best = next_class(logits, all, -1);
  double sum = 0;
  for (int32_t k = 0; k < all; k++) {
    if (!isfinite(logits[k])) return 0;
    sum += exp((double)logits[k] - logits[best]);
  }
  double highest = logits[best];
  for (; place < count && best >= 0; place++, best = next_class(logits, all, best))
    classes[place] = (edgec_class){best, (float)(exp(logits[best] - highest) / sum)};
  return place;
}
