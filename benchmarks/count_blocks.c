/* A qemu plugin that counts how often each block of instructions runs, and prints those that ran as lines
 * "block COUNT ADDRESS BYTES" on stderr when the program ends. Prototypes as in targets/reach/count_instructions.c.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef uint64_t plugin_id;
struct translation_block;
struct instruction;

enum { INLINE_ADD_U64, MOST_BLOCKS = 1 << 20, BYTES = 4 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct translation_block *));
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
extern size_t qemu_plugin_tb_n_insns(const struct translation_block *);
extern uint64_t qemu_plugin_tb_vaddr(const struct translation_block *);
extern struct instruction *qemu_plugin_tb_get_insn(const struct translation_block *, size_t);
extern const void *qemu_plugin_insn_data(const struct instruction *);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct translation_block *, int, void *, uint64_t);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

typedef struct {
    uint64_t executed, address;
    uint32_t *code;
    size_t length;
} block;

static block blocks[MOST_BLOCKS];
static size_t known;

static void on_translation(plugin_id id, struct translation_block *translated) {
    (void)id;
    if (known == MOST_BLOCKS) abort();
    block *one = &blocks[known++];
    one->length = qemu_plugin_tb_n_insns(translated);
    one->address = qemu_plugin_tb_vaddr(translated);
    one->code = malloc(one->length * BYTES);
    if (!one->code) abort();
    for (size_t i = 0; i < one->length; i++)
        one->code[i] = *(const uint32_t *)qemu_plugin_insn_data(qemu_plugin_tb_get_insn(translated, i));
    qemu_plugin_register_vcpu_tb_exec_inline(translated, INLINE_ADD_U64, &one->executed, 1);
}

static void on_exit_(plugin_id id, void *unused) {
    (void)id, (void)unused;
    for (size_t i = 0; i < known; i++) {
        if (!blocks[i].executed) continue;
        fprintf(stderr, "block %" PRIu64 " %" PRIx64 " ", blocks[i].executed, blocks[i].address);
        for (size_t n = 0; n < blocks[i].length; n++) fprintf(stderr, "%08" PRIx32, blocks[i].code[n]);
        fputc('\n', stderr);
    }
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_, NULL);
    return 0;
}
