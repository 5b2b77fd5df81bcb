// SPDX-License-Identifier: Apache-2.0
// What this machine can do at most, as one line of JSON: memory reads, and multiply-accumulates of one core.
//
//   cc -O2 -pthread -o roofline tools/bench/roofline.c
//   roofline [THREADS ...]     reads with so many threads (default: 1, and one for every processor); peaks of one processor
//   roofline --reads [...]     reads as they are now, for a second: the median of the passes, not the best
//   roofline --probe           how long the same short work takes now, on every processor: whether somebody else is there
//
// Reads: every thread sums a part of its own, 256 MB by 64-byte lines, with software prefetch; the best of several prefetch
// distances, in one stream or two. Peaks: independent chains of one instruction in registers, the best of several times;
// null for what is not there.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "peaks.h"

enum { MOST_THREADS = 256, PART = 256 << 20, PROBE_PART = 64 << 20, LINE = 64 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

// The processors that this process may use.
static int processors[MOST_THREADS], processor_count;

static void find_processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) exit(1);
  for (int i = 0; i < CPU_SETSIZE && processor_count < MOST_THREADS; i++) {
    if (CPU_ISSET(i, &set)) processors[processor_count++] = i;
  }
}

static void pin(int index) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processors[index % processor_count], &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static void *memory(size_t bytes) {
  void *bytes_there = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes_there == MAP_FAILED) {
    fprintf(stderr, "roofline: expected %zu bytes of memory\n", bytes);
    exit(1);
  }
  madvise(bytes_there, bytes, MADV_HUGEPAGE);
  memset(bytes_there, 1, bytes);
  return bytes_there;
}

// Sums the lines of memory, `distance` bytes after they were asked for, in one stream or in two that are half of it apart. One
// 8-byte load takes a line as well as eight would.
static inline __attribute__((always_inline)) uint64_t read_streams(
    const char *from, size_t bytes, size_t distance, size_t streams) {
  uint64_t sums[4] = {0};
  const size_t part = bytes / streams;
  for (size_t i = 0; i < part; i += 4 * LINE / streams) {
    for (size_t line = 0; line < 4; line++) {
      const char *place = from + line % streams * part + i + line / streams * LINE;
      __builtin_prefetch(place + distance, 0, 3);
      sums[line] += *(const uint64_t *)place;
    }
  }
  return sums[0] + sums[1] + sums[2] + sums[3];
}

static uint64_t read_lines(const char *from, size_t bytes, size_t distance, int streams) {
  return streams == 1 ? read_streams(from, bytes, distance, 1) : read_streams(from, bytes, distance, 2);
}

static volatile uint64_t sink;
static const size_t distances[] = {1024, 2048, 4096, 8192};
enum { DISTANCES = sizeof distances / sizeof *distances, CASES = 2 * DISTANCES, PASSES = 7 };

typedef struct {
  int index;
  pthread_barrier_t *barrier;
  double begin[CASES * PASSES], end[CASES * PASSES];
} Reader;

static void *read_all(void *argument) {
  Reader *reader = argument;
  pin(reader->index);
  char *part = memory(PART);
  for (int pass = 0; pass < CASES * PASSES; pass++) {
    pthread_barrier_wait(reader->barrier);
    reader->begin[pass] = now();
    sink += read_lines(part, PART - 16384, distances[pass % DISTANCES], 1 + pass / DISTANCES % 2);
    reader->end[pass] = now();
  }
  munmap(part, PART);
  return NULL;
}

static Reader readers[MOST_THREADS];

// Runs `body` on so many threads, which begin together, each with its reader.
static void run_threads(int threads, void *(*body)(void *)) {
  pthread_t ids[MOST_THREADS];
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, NULL, threads);
  for (int i = 0; i < threads; i++) {
    readers[i].index = i;
    readers[i].barrier = &barrier;
    if (pthread_create(&ids[i], NULL, body, &readers[i]) != 0) exit(1);
  }
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  pthread_barrier_destroy(&barrier);
}

// Bytes per second of so many threads together, in one pass.
static double pass_speed(int threads, int pass) {
  double begin = readers[0].begin[pass], end = readers[0].end[pass];
  for (int i = 1; i < threads; i++) {
    if (readers[i].begin[pass] < begin) begin = readers[i].begin[pass];
    if (readers[i].end[pass] > end) end = readers[i].end[pass];
  }
  return (double)threads * (PART - 16384) / (end - begin);
}

static int ascending(const void *a, const void *b) {
  return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

// The same of the best case: in its best pass, or in the one in the middle.
static double bandwidth(int threads, int middle) {
  run_threads(threads, read_all);
  double best = 0;
  for (int kind = 0; kind < CASES; kind++) {
    double speeds[PASSES];
    for (int i = 0; i < PASSES; i++) speeds[i] = pass_speed(threads, kind + i * CASES);
    qsort(speeds, PASSES, sizeof *speeds, ascending);
    const double speed = speeds[middle ? PASSES / 2 : PASSES - 1];
    if (speed > best) best = speed;
  }
  return best;
}

// The best of some times, in multiply-accumulates per second; 0 when the processor does not have it.
static double peak(Peak run) {
  const long rounds = 1000000;
  double best = 0;
  for (int time = 0; time < 20; time++) {
    double begin = now();
    double count = run(rounds);
    double speed = count / (now() - begin);
    if (speed > best) best = speed;
  }
  return best;
}

static void print_peak(const char *name, double speed) {
  if (speed > 0) printf(", \"%s\": %.4g", name, speed);
  else printf(", \"%s\": null", name);
}

// A chain of multiplications: always the same number of cycles.
static void *spin(void *argument) {
  Reader *reader = argument;
  pin(reader->index);
  pthread_barrier_wait(reader->barrier);
  uint64_t x = 1;
  double begin = now();
  for (int i = 0; i < 8000000; i++) x = x * 6364136223846793005u + 1442695040888963407u;
  reader->end[0] = now() - begin;
  sink += x;
  return NULL;
}

static void probe(void) {
  run_threads(processor_count, spin);
  printf("{\"integer_milliseconds\": [");
  for (int i = 0; i < processor_count; i++) printf("%s%.3f", i ? ", " : "", readers[i].end[0] * 1e3);
  pin(0);
  char *part = memory(PROBE_PART);
  double begin = now();
  for (int pass = 0; pass < 6; pass++) sink += read_lines(part, PROBE_PART - 16384, 4096, 1);
  printf("], \"read_milliseconds\": %.3f}\n", (now() - begin) * 1e3);
}

int main(int count, char **words) {
  find_processors();
  if (count == 2 && strcmp(words[1], "--probe") == 0) return probe(), 0;
  int threads[MOST_THREADS] = {1, processor_count}, cases = processor_count > 1 ? 2 : 1;
  const int only_reads = count > 1 && strcmp(words[1], "--reads") == 0;
  if (only_reads) count--, words++;
  if (count > 1) {
    for (cases = 0; cases < count - 1 && cases < MOST_THREADS; cases++) {
      threads[cases] = atoi(words[cases + 1]);
      if (threads[cases] < 1 || threads[cases] > MOST_THREADS) {
        fprintf(stderr, "roofline: expected 1 to %d threads, found %s\n", MOST_THREADS, words[cases + 1]);
        return 64;
      }
    }
  }
  printf("{\"read_bytes_per_second\": {");
  for (int i = 0; i < cases; i++) printf("%s\"%d\": %.4g", i ? ", " : "", threads[i], bandwidth(threads[i], only_reads));
  printf("}");
  pin(0);
  for (int i = 0; i < PEAKS && !only_reads; i++) print_peak(peaks[i].name, peaks[i].has() ? peak(peaks[i].run) : 0);
  printf("}\n");
  return 0;
}
