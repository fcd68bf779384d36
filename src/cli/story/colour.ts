/** Colours, for terminals alone, and not where NO_COLOR is set (https://no-color.org). */
import type { WriteStream } from 'node:tty';

const CODES = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const;

export type Style = keyof typeof CODES;

export type Paint = (style: Style, text: string) => string;

/** @param env NO_COLOR counts when it is not empty */
export function painter(stream: Partial<Pick<WriteStream, 'isTTY' | 'hasColors'>>, env: NodeJS.ProcessEnv = process.env): Paint {
  const coloured = stream.isTTY === true && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb' && stream.hasColors?.() !== false;
  return coloured ? (style, text) => `\x1b[${CODES[style][0]}m${text}\x1b[${CODES[style][1]}m` : (_, text) => text;
}
