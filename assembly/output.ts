/** The JSON that is being made: filled here, and given to the sink when it is full. */
import { OUTPUT, OUTPUT_SIZE } from '../src/transform/layout';

/** Gives the first bytes of the output to the sink, which takes them before it returns. */
declare function write(length: i32): void;

export const OUTPUT_END: i32 = OUTPUT + OUTPUT_SIZE;

export class Output {
  /** Where the next byte goes. */
  static to: i32 = OUTPUT;
}

export function flush(): void {
  const length = Output.to - OUTPUT;
  Output.to = OUTPUT;
  if (length > 0) write(length);
}

/** Makes room for so many bytes. @returns where the next one goes */
export function reserve(bytes: i32): i32 {
  if (OUTPUT_END - Output.to < bytes) flush();
  return Output.to;
}

/** Appends one byte. */
export function append(byte: i32): void {
  store<u8>(reserve(1), byte);
  Output.to++;
}
