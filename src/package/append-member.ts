/** Adds a member to a report, which may be too long for memory: its last brace is moved behind the new member. */
import { openSync, readSync, closeSync, fstatSync } from 'node:fs';
import { indented } from './assemble.js';
import { PartFile, type FinishedFile } from './part-file.js';

const CLOSE = 0x7d;
const SPACE = 0x20;
/** The last brace is among these bytes. */
const TAIL = 64;

/** @param from the report to add to, an object with members; undefined begins one @param flushed see PartFile.finish */
export async function appendToReport(from: string | undefined, to: string, key: string, value: unknown, flushed = true): Promise<FinishedFile> {
  const file = new PartFile(to);
  try {
    if (from === undefined) file.writeText('{\n');
    else {
      await file.append(from, lastMember(from) + 1);
      file.writeText(',\n');
    }
    file.writeText(`  ${JSON.stringify(key)}: ${indented(value)}\n}\n`);
    return await file.finish(flushed);
  } catch (error) {
    file.abandon();
    throw error;
  }
}

/** Where the last member ends: in front of the brace and of the white space before it. */
function lastMember(path: string): number {
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    const tail = Buffer.alloc(Math.min(TAIL, size));
    readSync(fd, tail, 0, tail.length, size - tail.length);
    let at = tail.lastIndexOf(CLOSE) - 1;
    while ((tail[at] as number) <= SPACE) at--;
    return size - tail.length + at;
  } finally {
    closeSync(fd);
  }
}
