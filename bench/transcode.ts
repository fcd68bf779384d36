/**
 * The row path alone: MB/s and rows/s of one thread, each beside a plain copy of the same bytes in the same run, since
 * figures of different machines (or of a noisy one) only compare as ratios.
 */
import { CopyToJson } from '../src/transform/copy-to-json.js';
import type { OutputColumn } from '../src/transform/output-column.js';
import { copied } from '../test/transform/rows-by-reference.js';

const CHUNK = 64 * 1024;
const ROUNDS = 5;

const usermessage: OutputColumn[] = ['id', 'user_profile', 'message', 'flags_mask'].map((key) => ({ key, kind: 'integer' }));
const message: OutputColumn[] = [
  { key: 'id', kind: 'integer' }, { key: 'sender', kind: 'integer' }, { key: 'recipient', kind: 'integer' }, { key: 'realm', kind: 'integer' },
  { key: 'subject', kind: 'text' }, { key: 'content', kind: 'text' }, { key: 'rendered_content', kind: 'text' }, { key: 'rendered_content_version', kind: 'integer' },
  { key: 'date_sent', kind: 'timestamp' }, { key: 'sending_client', kind: 'integer' }, { key: 'last_edit_time', kind: 'timestamp' }, { key: 'edit_history', kind: 'text' },
  { key: 'has_attachment', kind: 'boolean' }, { key: 'has_image', kind: 'boolean' }, { key: 'has_link', kind: 'boolean' }, { key: 'search_tsvector', kind: 'text' },
];

const paragraph = 'Deploying „Übersicht“ at noon: see the "runbook" first, then C:\\temp; naïve café 日本語 🎉\n- check the queue, then the logs\n';
const content = paragraph.repeat(3);
const rendered = `<p>${content.replaceAll('\n', '<br>\n').replaceAll('"', '&quot;')}</p><a href="https://chat.example/#narrow">x</a>`;
const lexemes = Array.from({ length: 24 }, (_, k) => `'lexeme${k}':${k + 1}`).join(' ');

run('usermessage', usermessage, Array.from({ length: 400_000 }, (_, k) => [9_000_000 + k, 1000 + (k % 900), 4_000_000 + Math.floor(k / 10), k % 3].map(String)));
run('message', message, Array.from({ length: 20_000 }, (_, k) => [
  `${4_000_000 + k}`, `${k % 900}`, `${k % 300}`, '2', `topic ${k % 50}`, content, rendered, '1', `2026-11-22 17:09:${10 + (k % 50)}.${100_000 + k}+00`, '3', null, null, 'f', 'f', 't', lexemes,
]));
run('plain text', [{ key: 'id', kind: 'integer' }, { key: 'text', kind: 'text' }], Array.from({ length: 2000 }, (_, k) => [String(k), 'long plain text without anything to escape in it '.repeat(200)]));

function run(name: string, columns: readonly OutputColumn[], rows: readonly (readonly (string | null)[])[]): void {
  const bytes = copied(columns, rows);
  const copy = Buffer.alloc(CHUNK);
  const seconds: number[] = [];
  const copySeconds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const started = process.hrtime.bigint();
    const transform = new CopyToJson(columns, { write: () => undefined }, name);
    for (let at = 0; at < bytes.length; at += CHUNK) transform.push(bytes.subarray(at, at + CHUNK));
    transform.end();
    const between = process.hrtime.bigint();
    for (let at = 0; at < bytes.length; at += CHUNK) for (let k = at, stop = Math.min(at + CHUNK, bytes.length); k < stop; k++) copy[k - at] = bytes[k] as number;
    seconds.push(Number(between - started) / 1e9);
    copySeconds.push(Number(process.hrtime.bigint() - between) / 1e9);
  }
  const best = Math.min(...seconds);
  const bestCopy = Math.min(...copySeconds);
  console.log(`${name.padEnd(12)} ${(bytes.length / best / 1e6).toFixed(0).padStart(5)} MB/s  ${(rows.length / best / 1e6).toFixed(2).padStart(5)} M rows/s  ${(best / bestCopy).toFixed(2)} x a byte loop that only copies (${(bytes.length / bestCopy / 1e6).toFixed(0)} MB/s)`);
}
