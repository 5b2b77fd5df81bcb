// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "include/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SPINS = 4000, LINE = 64 };

// Slices of one worker's share that are claimed in this phase.
typedef struct share {
  _Alignas(LINE) atomic_size_t claimed;
} share;

struct weft_pool {
  int threads;
  pthread_t *workers;
  void (*body)(void *argument, int worker);
  void *argument;
  int stopping;
  // Each on a line of its own: they are written by different threads at different times.
  share *shares;
  _Alignas(LINE) atomic_size_t begun;        // pieces of the prelude that were claimed in this phase
  atomic_size_t done;                        // those that are done
  _Alignas(LINE) atomic_int arrived;         // threads at the barrier
  _Alignas(LINE) atomic_uint generation;     // barriers passed; starting and ending a region are barriers too
  _Alignas(LINE) atomic_int sleepers;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
};

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// `sleepers` is raised before `generation` is read again, and `generation` before `sleepers` is read: one of the two sides
// always sees the other, so no wake-up is lost.
static void wait_for_change(weft_pool *pool, unsigned generation, const char *ahead, size_t bytes) {
  for (int i = 0; i < SPINS; i++) {
    if (atomic_load_explicit(&pool->generation, memory_order_acquire) != generation) return;
    if (bytes >= LINE) {
      __builtin_prefetch(ahead, 0, 2);
      ahead += LINE, bytes -= LINE;
    } else {
      relax();
    }
  }
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleepers, 1);
  while (atomic_load(&pool->generation) == generation) pthread_cond_wait(&pool->wake, &pool->mutex);
  atomic_fetch_sub(&pool->sleepers, 1);
  pthread_mutex_unlock(&pool->mutex);
}

static void begin_phase(weft_pool *pool) {
  atomic_store_explicit(&pool->begun, 0, memory_order_relaxed);
  atomic_store_explicit(&pool->done, 0, memory_order_relaxed);
  for (int i = 0; i < pool->threads; i++) atomic_store_explicit(&pool->shares[i].claimed, 0, memory_order_relaxed);
}

void weft_pool_barrier(weft_pool *pool, const void *ahead, size_t bytes) {
  if (pool->threads == 1) {
    begin_phase(pool);
    return;
  }
  unsigned generation = atomic_load_explicit(&pool->generation, memory_order_relaxed);
  if (atomic_fetch_add(&pool->arrived, 1) + 1 < pool->threads) {
    wait_for_change(pool, generation, ahead, bytes);
    return;
  }
  atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
  begin_phase(pool);
  atomic_store(&pool->generation, generation + 1);
  if (atomic_load(&pool->sleepers) > 0) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
  }
}

// Where the share of a worker begins: rounded up, so that a single slice is the caller's.
static size_t share_begin(const weft_pool *pool, size_t worker, size_t count) {
  const size_t threads = (size_t)pool->threads;
  return count / threads * worker + (count % threads * worker + threads - 1) / threads;
}

size_t weft_pool_claim(weft_pool *pool, int worker, size_t count, size_t grain, size_t *end) {
  for (int i = 0; i < pool->threads; i++) {
    const int owner = worker + i < pool->threads ? worker + i : worker + i - pool->threads;
    const size_t first = share_begin(pool, (size_t)owner, count), length = share_begin(pool, (size_t)owner + 1, count) - first;
    atomic_size_t *claimed = &pool->shares[owner].claimed;
    size_t begin = atomic_load_explicit(claimed, memory_order_relaxed);
    if (begin >= length) continue;
    if (pool->threads > 1) {
      begin = atomic_fetch_add_explicit(claimed, grain, memory_order_relaxed);
      if (begin >= length) continue;
    } else {
      atomic_store_explicit(claimed, begin + grain, memory_order_relaxed);
    }
    *end = first + (length - begin < grain ? length : begin + grain);
    return first + begin;
  }
  return *end = count;
}

size_t weft_pool_prelude_claim(weft_pool *pool, size_t count) {
  const size_t piece = atomic_load_explicit(&pool->begun, memory_order_relaxed);
  if (piece >= count) return count;
  if (pool->threads > 1) return atomic_fetch_add_explicit(&pool->begun, 1, memory_order_relaxed);
  atomic_store_explicit(&pool->begun, piece + 1, memory_order_relaxed);
  return piece;
}

void weft_pool_prelude_done(weft_pool *pool) {
  if (pool->threads > 1) atomic_fetch_add_explicit(&pool->done, 1, memory_order_release);
}

void weft_pool_prelude_wait(weft_pool *pool, size_t count) {
  if (pool->threads == 1) return;
  for (int i = 0; atomic_load_explicit(&pool->done, memory_order_acquire) < count; i++) {
    if (i < SPINS) relax();
    else sched_yield();  // who has a piece of it may wait for this processor
  }
}

typedef struct worker_start {
  weft_pool *pool;
  int worker;
} worker_start;

static void *work(void *argument) {
  worker_start start = *(worker_start *)argument;
  free(argument);
  weft_pool *pool = start.pool;
  for (;;) {
    weft_pool_barrier(pool, NULL, 0);  // a region begins
    if (pool->stopping) return NULL;
    pool->body(pool->argument, start.worker);
    weft_pool_barrier(pool, NULL, 0);  // the region ends
  }
}

void weft_pool_run(weft_pool *pool, void (*body)(void *argument, int worker), void *argument) {
  pool->body = body;
  pool->argument = argument;
  weft_pool_barrier(pool, NULL, 0);
  body(argument, 0);
  weft_pool_barrier(pool, NULL, 0);
}

weft_pool *weft_pool_create(int threads) {
  if (threads < 1) return NULL;
  weft_pool *pool = aligned_alloc(LINE, (sizeof(weft_pool) + LINE - 1) / LINE * LINE);
  if (!pool) return NULL;
  *pool = (weft_pool){.threads = threads};
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->wake, NULL);
  pool->workers = calloc((size_t)threads, sizeof(pthread_t));
  pool->shares = aligned_alloc(LINE, (size_t)threads * sizeof(share));
  if (pool->shares) begin_phase(pool);
  int started = 1;
  for (; pool->workers && pool->shares && started < threads; started++) {
    worker_start *start = malloc(sizeof(worker_start));
    if (!start) break;
    *start = (worker_start){pool, started};
    if (pthread_create(&pool->workers[started], NULL, work, start) != 0) {
      free(start);
      break;
    }
  }
  if (started == threads && pool->workers && pool->shares) return pool;
  pool->threads = started;  // the workers that did start may already wait: let exactly them go
  weft_pool_destroy(pool);
  return NULL;
}

void weft_pool_destroy(weft_pool *pool) {
  if (!pool) return;
  pool->stopping = 1;
  weft_pool_barrier(pool, NULL, 0);
  for (int i = 1; i < pool->threads && pool->workers; i++) pthread_join(pool->workers[i], NULL);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->mutex);
  free(pool->workers);
  free(pool->shares);
  free(pool);
}

int weft_pool_threads(const weft_pool *pool) { return pool->threads; }
