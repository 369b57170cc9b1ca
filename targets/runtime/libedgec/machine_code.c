/* System V ABI, chapters 4 and 5 (ELF-64), with its supplements for x86-64 and AArch64. Segments are mapped from a sealed
   memory file with the rights that they ask for, so nothing is writable and executable at any time. */
#define _GNU_SOURCE
#include "machine_code.h"
#include "failure.h"

#include <elf.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64, RELATIVE = R_X86_64_RELATIVE, ABSOLUTE = R_X86_64_64, DATA = R_X86_64_GLOB_DAT, CALL = R_X86_64_JUMP_SLOT };
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64, RELATIVE = R_AARCH64_RELATIVE, ABSOLUTE = R_AARCH64_ABS64, DATA = R_AARCH64_GLOB_DAT, CALL = R_AARCH64_JUMP_SLOT };
#endif

enum { MOST_SEGMENTS = 32, LARGEST = 1 << 30 };

typedef void (*function)(void);

static void never_called(void) {}

/* What the library needs from outside. Kernels call the first few. The rest is for running it on its own, as Python
   does, and not called from here. */
static const struct { const char *name; function address; } imports[] = {
    {"memcpy", (function)memcpy},           {"memmove", (function)memmove},           {"memset", (function)memset},
    {"fmaf", (function)fmaf},               {"__fxstat", never_called},               {"fstat", never_called},
    {"aligned_alloc", never_called},        {"clock_gettime", never_called},          {"close", never_called},
    {"free", never_called},                 {"madvise", never_called},                {"memcmp", never_called},
    {"open", never_called},                 {"pread", never_called},                  {"pthread_attr_destroy", never_called},
    {"pthread_attr_init", never_called},    {"pthread_attr_setstacksize", never_called}, {"pthread_create", never_called},
    {"pthread_join", never_called},         {"pthread_setaffinity_np", never_called}, {"sched_getaffinity", never_called},
    {"sched_getcpu", never_called},         {"sched_yield", never_called},            {"syscall", never_called},
};

typedef struct {
  const uint8_t *file;
  size_t size;
  Elf64_Phdr segments[MOST_SEGMENTS];
  int count;
  uint8_t *base;
  /* of the dynamic section: */
  const Elf64_Sym *symbols;
  size_t symbol_count, name_bytes;
  const char *names;
} image;

static int inside(uint64_t at, uint64_t bytes, uint64_t size) { return at <= size && bytes <= size - at; }

static edgec_status unsound(edgec_error *error, const char *what) {
  return edgec_fail(error, EDGEC_NO_BUNDLE, "the engine's machine code is damaged: %s", what);
}

static int is_sound(const image *i, const Elf64_Phdr *s, uint64_t page) {
  return inside(s->p_offset, s->p_filesz, i->size) && s->p_memsz >= s->p_filesz && inside(s->p_vaddr, s->p_memsz, LARGEST) &&
         s->p_vaddr % page == s->p_offset % page && (s->p_flags & (PF_W | PF_X)) != (PF_W | PF_X) &&
         (s->p_flags & PF_W || s->p_memsz == s->p_filesz);
}

static int read_headers(image *i) {
  Elf64_Ehdr header;
  if (i->size < sizeof header) return -1;
  memcpy(&header, i->file, sizeof header);
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) || header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_type != ET_DYN || header.e_machine != MACHINE || header.e_phentsize != sizeof(Elf64_Phdr) ||
      header.e_phnum > MOST_SEGMENTS || !inside(header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr), i->size))
    return -1;
  i->count = header.e_phnum;
  memcpy(i->segments, i->file + header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr));
  return 0;
}

/* How many bytes of addresses all segments take, in whole pages; 0 if they cannot be mapped. */
static uint64_t measure(const image *i, uint64_t page) {
  uint64_t end = 0;
  for (int n = 0; n < i->count; n++) {
    const Elf64_Phdr *s = &i->segments[n];
    if (s->p_type == PT_TLS) return 0;
    if (s->p_type != PT_LOAD || !s->p_memsz) continue;
    if (!is_sound(i, s, page) || s->p_vaddr / page * page < end) return 0; /* they are in order and share no page */
    end = (s->p_vaddr + s->p_memsz + page - 1) / page * page;
  }
  return end;
}

/* A file in memory that nobody can change any more; -1 if there is none to be had. */
static int memory_file(const uint8_t *bytes, size_t size) {
  int file = (int)syscall(SYS_memfd_create, "edgec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return -1;
  for (size_t done = 0; done < size;) {
    ssize_t count = write(file, bytes + done, size - done);
    if (count <= 0) {
      close(file);
      return -1;
    }
    done += (size_t)count;
  }
  fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  return file;
}

static int map_segment(const image *i, const Elf64_Phdr *s, int file, uint64_t page) {
  int rights = (s->p_flags & PF_R ? PROT_READ : 0) | (s->p_flags & PF_W ? PROT_WRITE : 0) | (s->p_flags & PF_X ? PROT_EXEC : 0);
  uint64_t before = s->p_vaddr % page, in_file = s->p_filesz ? (before + s->p_filesz + page - 1) / page * page : 0;
  uint64_t all = (before + s->p_memsz + page - 1) / page * page;
  uint8_t *at = i->base + s->p_vaddr - before;
  if (in_file && mmap(at, in_file, rights, MAP_PRIVATE | MAP_FIXED, file, (off_t)(s->p_offset - before)) == MAP_FAILED) return -1;
  if (s->p_flags & PF_W && in_file) memset(at + before + s->p_filesz, 0, in_file - before - s->p_filesz);
  if (all > in_file && mmap(at + in_file, all - in_file, rights, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) return -1;
  return 0;
}

static int map_all(const image *i, int file, uint64_t page) {
  for (int n = 0; n < i->count; n++)
    if (i->segments[n].p_type == PT_LOAD && i->segments[n].p_memsz && map_segment(i, &i->segments[n], file, page)) return -1;
  return 0;
}

/* Where an address of the file is in memory, if `bytes` from there on are in one segment with the rights; else NULL. */
static void *resolve(const image *i, uint64_t address, uint64_t bytes, uint32_t rights) {
  for (int n = 0; n < i->count; n++) {
    const Elf64_Phdr *s = &i->segments[n];
    if (s->p_type == PT_LOAD && (s->p_flags & rights) == rights && address >= s->p_vaddr && inside(address - s->p_vaddr, bytes, s->p_memsz))
      return i->base + address;
  }
  return NULL;
}

typedef struct {
  uint64_t symbols, names, name_bytes, hash, relocations, relocation_bytes, calls, call_bytes;
} dynamic;

/* Read the dynamic section; -1 if it asks for what is not done here. */
static int read_dynamic(const image *i, dynamic *d) {
  for (int n = 0; n < i->count; n++) {
    if (i->segments[n].p_type != PT_DYNAMIC) continue;
    uint64_t count = i->segments[n].p_memsz / sizeof(Elf64_Dyn);
    const Elf64_Dyn *entries = resolve(i, i->segments[n].p_vaddr, i->segments[n].p_memsz, PF_R);
    for (uint64_t k = 0; entries && k < count && entries[k].d_tag != DT_NULL; k++) {
      uint64_t value = entries[k].d_un.d_val;
      switch (entries[k].d_tag) {
      case DT_SYMTAB: d->symbols = value; break;
      case DT_STRTAB: d->names = value; break;
      case DT_STRSZ: d->name_bytes = value; break;
      case DT_HASH: d->hash = value; break;
      case DT_RELA: d->relocations = value; break;
      case DT_RELASZ: d->relocation_bytes = value; break;
      case DT_JMPREL: d->calls = value; break;
      case DT_PLTRELSZ: d->call_bytes = value; break;
      case DT_REL: case DT_TEXTREL: case DT_INIT: case DT_INIT_ARRAY: case DT_FINI: case DT_FINI_ARRAY: case 36 /* DT_RELR */: return -1;
      default: break;
      }
    }
    return entries ? 0 : -1;
  }
  return -1;
}

static int find_tables(image *i, const dynamic *d) {
  const uint32_t *hash = resolve(i, d->hash, 8, PF_R); /* buckets, then chains: as many as symbols */
  if (!hash) return -1;
  i->symbol_count = hash[1];
  i->symbols = resolve(i, d->symbols, i->symbol_count * sizeof *i->symbols, PF_R);
  i->names = resolve(i, d->names, d->name_bytes, PF_R);
  i->name_bytes = d->name_bytes;
  return i->symbols && i->names && i->name_bytes && !i->names[i->name_bytes - 1] ? 0 : -1;
}

static const char *name_of(const image *i, const Elf64_Sym *symbol) {
  return symbol->st_name < i->name_bytes ? i->names + symbol->st_name : "";
}

/* The address of a symbol, here or of what is imported; 0 if there is none. */
static uint64_t address_of(const image *i, uint64_t index) {
  if (index >= i->symbol_count) return 0;
  const Elf64_Sym *symbol = &i->symbols[index];
  if (symbol->st_shndx != SHN_UNDEF) return (uint64_t)(uintptr_t)resolve(i, symbol->st_value, 1, PF_R);
  for (size_t n = 0; n < sizeof imports / sizeof *imports; n++)
    if (!strcmp(imports[n].name, name_of(i, symbol))) return (uint64_t)(uintptr_t)imports[n].address;
  return 0;
}

static edgec_status relocate(const image *i, uint64_t at, uint64_t bytes, edgec_error *error) {
  if (!bytes) return EDGEC_OK;
  const Elf64_Rela *entries = resolve(i, at, bytes, PF_R);
  if (!entries || bytes % sizeof *entries) return unsound(error, "its relocations");
  for (uint64_t n = 0; n < bytes / sizeof *entries; n++) {
    const Elf64_Rela *r = &entries[n];
    uint64_t *place = resolve(i, r->r_offset, sizeof *place, PF_W), value, index = ELF64_R_SYM(r->r_info);
    int kind = (int)ELF64_R_TYPE(r->r_info);
    if (!place || r->r_offset % sizeof *place || (kind != RELATIVE && kind != ABSOLUTE && kind != DATA && kind != CALL))
      return unsound(error, "a relocation");
    value = kind == RELATIVE ? (uint64_t)(uintptr_t)i->base : address_of(i, index);
    if (!value && index < i->symbol_count)
      return edgec_fail(error, EDGEC_NO_BUNDLE, "the engine needs the function '%.60s', which this version of libedgec does not have",
                        name_of(i, &i->symbols[index]));
    *place = value + (uint64_t)r->r_addend;
  }
  return EDGEC_OK;
}

static int protect(const image *i, uint64_t page) {
  for (int n = 0; n < i->count; n++) {
    const Elf64_Phdr *s = &i->segments[n];
    if (s->p_type != PT_GNU_RELRO) continue;
    uint64_t begin = s->p_vaddr / page * page, end = (s->p_vaddr + s->p_memsz) / page * page;
    if (end > begin && (!resolve(i, s->p_vaddr, s->p_memsz, PF_W) || mprotect(i->base + begin, end - begin, PROT_READ))) return -1;
  }
  return 0;
}

static edgec_status link_all(image *i, edgec_error *error) {
  dynamic d = {0};
  if (read_dynamic(i, &d) || find_tables(i, &d)) return unsound(error, "its dynamic section");
  edgec_status status = relocate(i, d.relocations, d.relocation_bytes, error);
  return status ? status : relocate(i, d.calls, d.call_bytes, error);
}

static const edgec_program *find_program(const image *i) {
  for (size_t n = 0; n < i->symbol_count; n++) {
    const Elf64_Sym *symbol = &i->symbols[n];
    if (symbol->st_shndx != SHN_UNDEF && symbol->st_size == sizeof(edgec_program) && !strcmp(name_of(i, symbol), "edgec_generated"))
      return resolve(i, symbol->st_value, sizeof(edgec_program), PF_R);
  }
  return NULL;
}

static edgec_status map_and_link(image *i, uint64_t page, edgec_error *error) {
  int file = memory_file(i->file, i->size);
  int failed = file < 0 || map_all(i, file, page);
  if (file >= 0) close(file);
  if (failed) return edgec_fail(error, EDGEC_SYSTEM, "the system refuses memory that holds machine code (memfd_create, mmap)");
  edgec_status status = link_all(i, error);
  if (status) return status;
  return protect(i, page) ? edgec_fail(error, EDGEC_SYSTEM, "the system refuses to protect memory (mprotect)") : EDGEC_OK;
}

edgec_status edgec_load_code(const uint8_t *elf, size_t size, edgec_code *code, edgec_error *error) {
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  image i = {.file = elf, .size = size};
  uint64_t span = read_headers(&i) ? 0 : measure(&i, page);
  if (!span) return unsound(error, "its headers, or they are for another machine");
  i.base = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (i.base == MAP_FAILED) return edgec_fail(error, EDGEC_NO_MEMORY, "not enough memory for the engine's machine code");
  *code = (edgec_code){.memory = i.base, .size = span};
  edgec_status status = map_and_link(&i, page, error);
  if (!status && !(code->program = find_program(&i))) status = unsound(error, "it holds no network");
  if (status) edgec_unload_code(code);
  return status;
}

void edgec_unload_code(edgec_code *code) {
  if (code->memory) munmap(code->memory, code->size);
  *code = (edgec_code){0};
}
