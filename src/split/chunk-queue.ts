/** What a COPY sends, as something that another COPY can take: one chunk at a time, the sender waits for the taker. */

/**
 * @param send gives each chunk to its callback, and waits for what that returns
 * @returns the chunks; throws what `send` throws
 */
export async function* chunksOf(send: (consume: (chunk: Buffer) => Promise<void>) => Promise<unknown>): AsyncGenerator<Buffer> {
  let waiting: { readonly chunk: Buffer; readonly taken: () => void } | undefined;
  let wake: () => void = () => undefined;
  let over = false;
  let failed: { readonly error: unknown } | undefined;
  const sending = send((chunk) => new Promise<void>((resolve) => {
    // The sender fills its buffer anew.
    waiting = { chunk: Buffer.from(chunk), taken: resolve };
    wake();
  })).catch((error: unknown) => { failed = { error }; }).finally(() => {
    over = true;
    wake();
  });
  for (;;) {
    if (waiting !== undefined) {
      const { chunk, taken } = waiting;
      waiting = undefined;
      taken();
      yield chunk;
    } else if (over) {
      break;
    } else {
      await new Promise<void>((resolve) => { wake = resolve; });
    }
  }
  await sending;
  if (failed !== undefined) throw (failed).error;
}
