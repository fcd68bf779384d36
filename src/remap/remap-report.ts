/** Adds a member to a report, which may be too long for memory: its last brace is moved behind the new member. */
import { createReadStream, openSync, readSync, closeSync, fstatSync } from 'node:fs';
import { PartFile } from '../package/part-file.js';

const CLOSE = 0x7d;
/** The last brace is among these bytes. */
const TAIL = 64;

/** @param from the report to add to, an object with members; undefined begins one */
export async function appendToReport(from: string | undefined, to: string, key: string, value: unknown): Promise<void> {
  const file = new PartFile(to);
  try {
    if (from === undefined) file.writeText('{');
    else {
      for await (const chunk of createReadStream(from, { end: lastBrace(from) - 1 })) file.write(chunk as Buffer);
      file.writeText(',');
    }
    file.writeText(`${JSON.stringify(key)}:${JSON.stringify(value)}}\n`);
    await file.finish();
  } catch (error) {
    file.abandon();
    throw error;
  }
}

function lastBrace(path: string): number {
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    const tail = Buffer.alloc(Math.min(TAIL, size));
    readSync(fd, tail, 0, tail.length, size - tail.length);
    return size - tail.length + tail.lastIndexOf(CLOSE);
  } finally {
    closeSync(fd);
  }
}
