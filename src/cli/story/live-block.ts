/**
 * Some lines at the end of a terminal that are written over. The cursor waits at the beginning of the first, so that what is below
 * can be cleared whatever has become of it: a terminal that was made narrower breaks lines that were written, and takes the cursor along
 * with the character that it stood on.
 */
import type { WriteStream } from 'node:tty';

const CLEAR = '\r\x1b[J';

export type TerminalStream = Pick<WriteStream, 'write' | 'on' | 'off'> & Partial<Pick<WriteStream, 'columns' | 'rows' | 'isTTY' | 'hasColors'>>;

export class LiveBlock {
  readonly #out: TerminalStream;
  readonly #lines: () => readonly string[];

  /** @param lines what is to be seen now, each without line ends or colours */
  constructor(out: TerminalStream, lines: () => readonly string[]) {
    this.#out = out;
    this.#lines = lines;
    out.on('resize', this.show);
  }

  readonly show = (): void => {
    const lines = this.#fitting();
    this.#out.write(`${CLEAR}${lines.join('\n')}${lines.length > 1 ? `\x1b[${lines.length - 1}A` : ''}\r`);
  };

  /** Above the block, where it stays. */
  print(text: string): void {
    this.#out.write(`${CLEAR}${text}`);
    this.show();
  }

  /** @param kept the lines stay as they are now */
  end(kept: boolean): void {
    this.#out.off('resize', this.show);
    this.#out.write(`${CLEAR}${kept ? this.#fitting().map((line) => `${line}\n`).join('') : ''}`);
  }

  /** Nothing may wrap or scroll away. */
  #fitting(): string[] {
    const { columns = 80, rows = 24 } = this.#out;
    return this.#lines().slice(0, Math.max(1, rows - 1)).map((line) => fit(line, columns - 1));
  }
}

function fit(line: string, width: number): string {
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}
