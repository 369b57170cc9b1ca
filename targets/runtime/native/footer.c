#include "engine.h"

static int inside(uint64_t offset, uint64_t bytes, uint64_t size) { return offset <= size && bytes <= size - offset; }

int edgec_footer_fits(const edgec_footer *f, const edgec_program *p, uint64_t size) {
  uint64_t example = (uint64_t)(p->height * p->width * p->channels + 4 * p->classes);
  return f->constants_size == (uint64_t)p->constants_size && inside(f->constants_offset, f->constants_size, size) &&
         f->golden_count <= 1024 && inside(f->golden_offset, f->golden_count * example, size);
}
