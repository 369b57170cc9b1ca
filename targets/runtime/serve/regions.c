#define _GNU_SOURCE
#include "regions.h"
#include "bounds.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LONGEST_NAME = 255 };

struct region {
  char name[LONGEST_NAME + 1], key[LONGEST_NAME + 2];
  int64_t offset, size;
  int listed, users; /* a place is free if it has neither */
  int file;
  uint8_t *mapping;  /* whole pages; the region begins `lead` bytes behind */
  size_t mapped, lead;
  atomic_uintptr_t begin, end; /* of the mapping, for the signal's handler; 0: there is none */
  atomic_int broken;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static region regions[SERVE_REGIONS];
static const char *allowed;
static size_t page;

/* A page of a file that has become shorter. All that is called here is a system call. */
static void on_lost_page(int signal_number, siginfo_t *info, void *context) {
  (void)context;
  int kept = errno;
  uintptr_t at = (uintptr_t)info->si_addr;
  for (int i = 0; i < SERVE_REGIONS; i++) {
    region *r = &regions[i];
    if (at < atomic_load(&r->begin) || at >= atomic_load(&r->end)) continue;
    atomic_store(&r->broken, 1);
    void *there = (void *)(at & ~(uintptr_t)(page - 1));
    if (mmap(there, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) break;
    errno = kept;
    return;
  }
  signal(signal_number, SIG_DFL); /* it was none of ours: the access is tried again, and ends the program */
}

int regions_allow(const char *prefix) {
  struct sigaction action = {.sa_sigaction = on_lost_page, .sa_flags = SA_SIGINFO};
  allowed = prefix;
  page = (size_t)sysconf(_SC_PAGESIZE);
  sigemptyset(&action.sa_mask);
  return sigaction(SIGBUS, &action, NULL);
}

int regions_allowed(void) { return allowed != NULL; }

/* Called with the lock held, as is every function below that does not take it. */
static region *find(const char *name) {
  for (int i = 0; i < SERVE_REGIONS; i++)
    if (regions[i].listed && !strcmp(regions[i].name, name)) return &regions[i];
  return NULL;
}

static void clear_if_unused(region *r) {
  if (r->listed || r->users || !r->mapping) return;
  atomic_store(&r->end, 0);
  atomic_store(&r->begin, 0);
  munmap(r->mapping, r->mapped);
  close(r->file);
  r->mapping = NULL;
}

/* A key is one name below /dev/shm, as shm_open takes it. */
static const char *checked_key(const char *key) {
  const char *rest = key + (*key == '/');
  size_t length = strlen(rest);
  if (!length || length > LONGEST_NAME || strchr(rest, '/') || !strcmp(rest, ".") || !strcmp(rest, "..")) return "the key is not a name for shm_open";
  return strncmp(rest, allowed, strlen(allowed)) ? "this service does not take regions with such a key: see --shared-memory" : NULL;
}

static const char *map(region *r, const char *key, int64_t offset, int64_t size) {
  struct stat about;
  r->file = shm_open(key, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
  if (r->file < 0) return "there is no such shared memory, or it may not be read and written here";
  const char *wrong = NULL;
  if (fstat(r->file, &about) || !S_ISREG(about.st_mode)) wrong = "the key is not shared memory";
  else if (about.st_size < size || about.st_size - size < offset) wrong = "offset and byte_size go behind the end of the shared memory";
  r->lead = (size_t)(offset % (int64_t)page);
  r->mapped = (size_t)size + r->lead;
  void *mapping = wrong ? MAP_FAILED : mmap(NULL, r->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, r->file, offset - (int64_t)r->lead);
  if (mapping != MAP_FAILED) return r->mapping = mapping, NULL;
  close(r->file);
  return wrong ? wrong : "the shared memory cannot be mapped";
}

static const char *take_place(const char *name, const char *key, int64_t offset, int64_t size) {
  region *r = NULL;
  for (int i = 0; i < SERVE_REGIONS && !r; i++)
    if (!regions[i].listed && !regions[i].users) r = &regions[i];
  if (!r) return "there are 64 regions already; unregister one";
  const char *wrong = map(r, key, offset, size);
  if (wrong) return wrong;
  strcpy(r->name, name);
  strcpy(r->key, key);
  r->offset = offset;
  r->size = size;
  r->listed = 1;
  atomic_store(&r->broken, 0);
  atomic_store(&r->begin, (uintptr_t)r->mapping);
  atomic_store(&r->end, (uintptr_t)r->mapping + (r->mapped + page - 1) / page * page);
  return NULL;
}

const char *region_register(const char *name, const char *key, int64_t offset, int64_t size) {
  if (!*name || strlen(name) > LONGEST_NAME || strchr(name, '/')) return "a region's name has 1 to 255 bytes and no slash";
  const char *wrong = checked_key(key);
  if (wrong) return wrong;
  pthread_mutex_lock(&lock);
  wrong = find(name) ? "there is a region of this name already; unregister it before" : take_place(name, key, offset, size);
  pthread_mutex_unlock(&lock);
  return wrong;
}

int region_unregister(const char *name) {
  int found = !name;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < SERVE_REGIONS; i++) {
    region *r = &regions[i];
    if (!r->listed || (name && strcmp(r->name, name))) continue;
    found = 1;
    r->listed = 0;
    clear_if_unused(r);
  }
  pthread_mutex_unlock(&lock);
  return found ? 0 : -1;
}

int regions_tell(const char *name, text *into) {
  int count = 0;
  text_add(into, "[", 1);
  pthread_mutex_lock(&lock);
  for (int i = 0; i < SERVE_REGIONS; i++) {
    region *r = &regions[i];
    if (!r->listed || (name && strcmp(r->name, name))) continue;
    text_print(into, count++ ? ",{\"name\":" : "{\"name\":");
    text_quote(into, r->name);
    text_print(into, ",\"key\":");
    text_quote(into, r->key);
    text_print(into, ",\"offset\":%lld,\"byte_size\":%lld}", (long long)r->offset, (long long)r->size);
  }
  pthread_mutex_unlock(&lock);
  text_add(into, "]", 1);
  return name && !count ? -1 : 0;
}

region *region_use(const char *name, int64_t offset, int64_t size, uint8_t **at) {
  pthread_mutex_lock(&lock);
  region *r = find(name);
  if (r && (offset < 0 || size < 0 || size > r->size || offset > r->size - size)) r = NULL;
  if (r) {
    r->users++;
    *at = r->mapping + r->lead + offset;
  }
  pthread_mutex_unlock(&lock);
  return r;
}

/* Reading the last page of a file that became shorter raises no signal, so its size is compared. */
int region_is_broken(region *r) {
  struct stat about;
  if (fstat(r->file, &about) || about.st_size < r->size || about.st_size - r->size < r->offset) atomic_store(&r->broken, 1);
  return atomic_load(&r->broken);
}

void region_release(region *r) {
  if (!r) return;
  pthread_mutex_lock(&lock);
  r->users--;
  clear_if_unused(r);
  pthread_mutex_unlock(&lock);
}
