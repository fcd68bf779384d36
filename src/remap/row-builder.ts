/** A row with some values replaced: the bytes between them are copied as they are. */

const ZERO = 0x30;

export class RowBuilder {
  #row: Buffer = Buffer.alloc(0);
  #out = Buffer.allocUnsafe(64 * 1024);
  #length = 0;
  #last = 0;

  begin(row: Buffer): void {
    this.#row = row;
    this.#length = 0;
    this.#last = 0;
  }

  /** Replaces the bytes from `start` to `end`; places must rise. Text is latin1. */
  replace(start: number, end: number, value: number | string): void {
    this.#copyTo(start);
    this.#last = end;
    if (typeof value === 'number' && value >= 0) this.#digits(value);
    else {
      const text = String(value);
      this.#reserve(text.length);
      this.#length += this.#out.write(text, this.#length, 'latin1');
    }
  }

  /** The row; it holds until the next begins. */
  finish(): Buffer {
    if (this.#last === 0) return this.#row;
    this.#copyTo(this.#row.length);
    return this.#out.subarray(0, this.#length);
  }

  #copyTo(end: number): void {
    this.#reserve(end - this.#last);
    this.#row.copy(this.#out, this.#length, this.#last, end);
    this.#length += end - this.#last;
  }

  #digits(value: number): void {
    this.#reserve(16);
    let count = 1;
    for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) count++;
    let rest = value;
    for (let at = this.#length + count - 1; at >= this.#length; at--) {
      this.#out[at] = ZERO + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    this.#length += count;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#out.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#out.length * 2, this.#length + bytes));
    this.#out.copy(larger, 0, 0, this.#length);
    this.#out = larger;
  }
}
