/** Results in the order of the inputs, at most `limit` under way. */
export async function inTurn<I, O>(inputs: readonly I[], limit: number, work: (input: I) => Promise<O>): Promise<O[]> {
  const outputs: O[] = [];
  let next = 0;
  const runner = async (): Promise<void> => {
    while (next < inputs.length) {
      const index = next++;
      outputs[index] = await work(inputs[index] as I);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, inputs.length) }, runner));
  return outputs;
}
