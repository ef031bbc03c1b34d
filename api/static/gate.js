// A semaphore: a number of tasks run at once, the others wait in order.

/** `gate(4)` gives `run(task)`: at most four tasks run at a time, first come, first served. */
export function gate(width) {
  const waiting = [];
  let free = width;
  const release = () => (waiting.length ? waiting.shift()() : free++);
  return async (task) => {
    if (free > 0) free--;
    else await new Promise((resolve) => waiting.push(resolve));
    try {
      return await task();
    } finally {
      release();
    }
  };
}
