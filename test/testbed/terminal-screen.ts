/** What a terminal of a given width shows of bytes that are written to it: lines that are too long break, as a terminal breaks them. */

/** Control sequences that realmlift writes: clear to the end of the screen, up by so many lines, colours. */
const SEQUENCE = /^\x1b\[(\d*)([AJm])/;

export class TerminalScreen {
  readonly columns: number;
  /** Lines from the top; nothing scrolls away. */
  readonly lines: string[] = [''];
  /** Whether any line was too long. */
  wrapped = false;
  #row = 0;
  #column = 0;

  constructor(columns: number) {
    this.columns = columns;
  }

  write(text: string): void {
    for (let rest = text; rest !== '';) {
      const sequence = SEQUENCE.exec(rest);
      if (sequence !== null) {
        this.#control(sequence[2] as string, Number(sequence[1] === '' ? 1 : sequence[1]));
        rest = rest.slice(sequence[0].length);
        continue;
      }
      this.#put(rest[0] as string);
      rest = rest.slice(1);
    }
  }

  #control(letter: string, count: number): void {
    if (letter === 'A') this.#row = Math.max(0, this.#row - count);
    if (letter === 'J') {
      this.lines.length = this.#row + 1;
      this.lines[this.#row] = (this.lines[this.#row] ?? '').slice(0, this.#column);
    }
  }

  #put(char: string): void {
    if (char === '\r') this.#column = 0;
    else if (char === '\n') this.#nextLine();
    else {
      if (this.#column === this.columns) {
        this.wrapped = true;
        this.#nextLine();
        this.#column = 0;
      }
      const line = (this.lines[this.#row] ?? '').padEnd(this.#column);
      this.lines[this.#row] = line.slice(0, this.#column) + char + line.slice(this.#column + 1);
      this.#column += 1;
    }
  }

  #nextLine(): void {
    this.#row += 1;
    this.#column = 0;
    while (this.lines.length <= this.#row) this.lines.push('');
  }
}
