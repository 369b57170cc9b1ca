/* A CUDA runtime without a GPU: device memory is ordinary memory, a stream runs what is put into it at once, or
   records it. A kernel is a function that the test gives. */
#include <stddef.h>
extern void *malloc(size_t); extern void free(void *); extern void *memcpy(void *, const void *, size_t);

struct op { void *to; const void *from; size_t size; void (*kernel)(void); };
static struct op recorded[16];
static int recording, count, live;
int double_refuses_to_record, double_graph_launches, double_mapped, double_is_integrated = 1;

static void run(struct op o) { if (o.kernel) o.kernel(); else memcpy(o.to, o.from, o.size); }
static int put(struct op o) { if (!recording) run(o); else if (count < 16) recorded[count++] = o; return 0; }

int cudaMalloc(void **p, size_t n) { *p = malloc(n); live++; return 0; }
int cudaFree(void *p) { free(p); live--; return 0; }
int cudaHostAlloc(void **p, size_t n, unsigned f) { (void)f; *p = malloc(n); live++; return 0; }
int cudaHostGetDevicePointer(void **p, void *host, unsigned f) { (void)f; *p = host; double_mapped++; return 0; }
int cudaFreeHost(void *p) { free(p); live--; return 0; }
int cudaMemcpyAsync(void *to, const void *from, size_t n, int kind, void *s) {
    (void)kind; (void)s; return put((struct op){to, from, n, 0}); }
int cudaStreamCreate(void **s) { *s = malloc(1); live++; return 0; }
int cudaStreamDestroy(void *s) { free(s); live--; return 0; }
int cudaStreamSynchronize(void *s) { (void)s; return recording ? 900 : 0; }
int cudaStreamBeginCapture(void *s, int mode) { (void)s; (void)mode; recording = 1; count = 0; return 0; }
int cudaStreamEndCapture(void *s, void **graph) {
    (void)s; recording = 0;
    if (double_refuses_to_record) { *graph = 0; return 901; }
    struct op *g = malloc(sizeof recorded); g[0].size = 0;
    for (int i = 0; i < 16; i++) g[i] = i < count ? recorded[i] : (struct op){0, 0, 0, 0};
    *graph = g; live++; return 0; }
int cudaGraphInstantiateWithFlags(void **e, void *graph, unsigned long long flags) { (void)flags; *e = graph; return 0; }
int cudaGraphLaunch(void *e, void *s) {
    (void)s; double_graph_launches++;
    for (struct op *o = e; o < (struct op *)e + 16 && (o->to || o->kernel); o++) run(*o);
    return 0; }
int cudaGraphExecDestroy(void *e) { (void)e; return 0; }
int cudaGraphDestroy(void *g) { free(g); live--; return 0; }
int cudaGetDeviceCount(int *n) { *n = 1; return 0; }
int cudaDeviceGetAttribute(int *v, int which, int d) { (void)d; *v = which == 75 ? 8 : which == 76 ? 7 : double_is_integrated; return 0; }
int cudaRuntimeGetVersion(int *v) { *v = 12060; return 0; }
const char *cudaGetErrorString(int code) { (void)code; return "refused by the double"; }

int double_kernel(void (*kernel)(void)) { return put((struct op){0, 0, 0, kernel}); }
int double_live(void) { return live; }
