/** Names and types of a query's columns, for which the server only reads it: to plan and begin it for no row would take it twice as long. */
import type pg from 'pg';

/** @param select a query without parameters @throws the driver's errors */
export function describeColumns(client: pg.Client, select: string): Promise<pg.FieldDef[]> {
  const description = new Description(select);
  client.query(description);
  return description.result;
}

/** What of the driver's connection its types do not tell. */
interface Messages {
  parse(query: { readonly text: string; readonly name: string; readonly types: readonly number[] }): void;
  describe(what: { readonly type: 'S' | 'P'; readonly name: string }): void;
  sync(): void;
}

/** A query in the driver's sense. */
class Description implements pg.Submittable {
  readonly result: Promise<pg.FieldDef[]>;
  readonly #text: string;
  #fields: pg.FieldDef[] = [];
  #resolve!: (fields: pg.FieldDef[]) => void;
  #reject!: (error: unknown) => void;

  constructor(text: string) {
    this.#text = text;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  submit(connection: pg.Connection): void {
    const messages = connection as unknown as Messages;
    messages.parse({ text: this.#text, name: '', types: [] });
    messages.describe({ type: 'S', name: '' });
    messages.sync();
  }

  handleRowDescription({ fields }: { readonly fields: pg.FieldDef[] }): void {
    this.#fields = fields;
  }

  handleError(error: unknown): void {
    this.#reject(error);
  }

  handleReadyForQuery(): void {
    this.#resolve(this.#fields);
  }
}
