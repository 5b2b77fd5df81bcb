// SPDX-License-Identifier: Apache-2.0
//
// A pool of worker threads for one parallel region at a time. All workers run the same function (the caller is worker 0),
// divide a phase by claiming slices, and meet at a barrier between phases. Waiting threads spin for some tens of microseconds,
// then sleep. With one thread nothing is locked, spun or counted atomically.
#pragma once
#include <stddef.h>

typedef struct weft_pool weft_pool;

// NULL when memory or threads cannot be had. threads >= 1; starts threads - 1 workers.
weft_pool *weft_pool_create(int threads);
// No region may be running. NULL is allowed.
void weft_pool_destroy(weft_pool *pool);
int weft_pool_threads(const weft_pool *pool);
// Runs body(argument, worker) on every thread and returns when all have finished.
void weft_pool_run(weft_pool *pool, void (*body)(void *argument, int worker), void *argument);
// Inside a region: claims up to `grain` of `count` slices: of the worker's own share, an equal part of them that lies together, so
// that it reads on where it was; then of the others'. Returns the first index claimed and its end; `count` when none is left. All
// threads of a phase must name the same count, and stop claiming before the barrier.
size_t weft_pool_claim(weft_pool *pool, int worker, size_t count, size_t grain, size_t *end);
// Inside a region: a phase may have a prelude, pieces of work whose results its slices read. Every thread claims pieces (the index of
// one, `count` when none is left) and says when each is done, then goes on to slices, and waits for the prelude where it reads it.
size_t weft_pool_prelude_claim(weft_pool *pool, size_t count);
void weft_pool_prelude_done(weft_pool *pool);
void weft_pool_prelude_wait(weft_pool *pool, size_t count);
// Inside a region: waits until every thread is here, then slices are counted from 0 again. A thread that waits asks for the memory
// [ahead, ahead + bytes), which it will read next: to use the time in which another one has work for one thread. NULL for none.
void weft_pool_barrier(weft_pool *pool, const void *ahead, size_t bytes);
