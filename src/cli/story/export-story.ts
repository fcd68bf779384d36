/** The steps of an export, by what it tells: of one target how far each is, of many also how many are done. */
import type { ExportEvent } from '../../export/events.js';
import { VERIFICATION } from '../../narration.js';
import { sum, time } from '../../numbers.js';
import { Story } from './story.js';

/** What is asked of an export beside rows and files. */
export interface StepsAsked {
  readonly verify: boolean;
  readonly tarball: boolean;
  readonly upload: boolean;
}

/** In bytes of output, roughly: what a message with its usermessages comes to, a file beside its content, the tables of a realm. */
const MESSAGE = 2000;
const FILE = 20_000;
const TABLES = 2e6;
/** Reading a byte again, and to compress it or send it, against making it. */
const AGAIN = { verification: 0.3, tarball: 1, upload: 1 } as const;

export class ExportStory extends Story {
  readonly #asked: StepsAsked;
  /** `performance.now()` when the snapshot was taken. */
  #takenAt: number | undefined;
  #targets: number | undefined;
  #finished = 0;

  constructor(asked: StepsAsked) {
    super();
    this.#asked = asked;
    const { verify, tarball, upload } = asked;
    this.ahead(['tables', 'messages', 'files', 'package', ...(verify ? [VERIFICATION] : []), ...(tarball ? ['tarball'] : []), ...(upload ? ['upload'] : [])].map((name) => ({ name, weight: 0 })));
    this.#set('package', TABLES / 10);
  }

  take(event: ExportEvent): void {
    switch (event.kind) {
      case 'snapshot':
        this.#takenAt = performance.now() - event.age * 1000;
        break;
      case 'targets':
        this.#many(event.count);
        break;
      case 'let-go':
        this.#takenAt = undefined;
        break;
      case 'started':
        this.#started(event.target === '', sum(Object.entries(event.tables).filter(([name]) => name !== 'message').map(([, count]) => count)));
        break;
      case 'planned':
        this.begin('messages', 'messages').expect(event.messages);
        if (this.#targets === undefined) this.#addTo('messages', event.messages * MESSAGE);
        if (event.messages === 0) this.#endIfDone('messages');
        break;
      case 'files-wanted':
        this.begin('files', 'files').expect(event.files);
        if (this.#targets === undefined) this.#addTo('files', event.bytes + event.files * FILE);
        break;
      case 'progress':
        this.#bytes(event.dataClass === 'message' ? 'messages' : 'tables', event.bytes);
        break;
      case 'part':
        this.#part(event.dataClass, event.part.rows?.zerver_message ?? 0);
        break;
      case 'file':
        if (event.event.kind === 'file') this.#file(event.event.size);
        break;
      case 'packaging':
        if (this.#targets === undefined) this.#packaging();
        break;
      case 'verifying':
        this.#end('package');
        break;
      case 'finished': case 'finished-before':
        this.#targetFinished();
        break;
      case 'stored':
        this.begin('upload', 'bytes').done += event.bytes;
        break;
      case 'warning': case 'waiting':
        break;
    }
  }

  /** `snapshot 5 min old`. */
  note(): string {
    return this.#takenAt === undefined ? '' : `snapshot ${time((performance.now() - this.#takenAt) / 1000)} old`;
  }

  /** Of many targets packages and verifications are too many, and too short, to be told. */
  #many(count: number): void {
    this.#targets = count;
    for (const name of ['package', VERIFICATION]) this.steps.splice(this.steps.findIndex((step) => step.name === name), this.find(name) === undefined ? 0 : 1);
    for (const step of this.steps) this.#set(step.name, 0);
    this.ahead([{ name: 'realms', weight: 1 }]);
    this.begin('realms', 'realms').expect(count);
  }

  /** @param ofSet of a set, whose rows come before its realms are put together */
  #started(ofSet: boolean, tables: number): void {
    if (tables === 0) return;
    this.begin('tables', 'tables').expect(tables);
    if (ofSet) for (const [name, weight] of [['tables', 0.1], ['messages', 0.9]] as const) this.#set(name, weight);
    else if (this.#targets === undefined) this.#addTo('tables', TABLES);
  }

  #bytes(name: string, more: number): void {
    const step = this.find(name);
    if (step !== undefined) step.bytes += more;
  }

  #file(size: number): void {
    const step = this.begin('files', 'files');
    step.done += 1;
    step.bytes += size;
  }

  #packaging(): void {
    for (const name of ['tables', 'messages', 'files']) this.#end(name);
    this.begin('package', 'steps');
  }

  #targetFinished(): void {
    this.#finished += 1;
    if (this.#targets !== undefined) this.begin('realms', 'realms').done = this.#finished;
    else for (const name of ['package', VERIFICATION]) this.#end(name);
  }

  #part(dataClass: string, messages: number): void {
    if (dataClass === 'message') {
      const step = this.begin('messages', 'messages');
      step.done += messages;
      this.#endIfDone('messages');
    } else if (dataClass !== 'ledger' && dataClass !== '') {
      this.begin('tables', 'tables').done += 1;
      this.#endIfDone('tables');
    }
  }

  #endIfDone(name: string): void {
    const step = this.find(name);
    if (step?.total !== undefined && step.done >= step.total && this.#targets === undefined) step.end();
  }

  #end(name: string): void {
    this.find(name)?.end();
  }

  #addTo(name: string, weight: number): void {
    this.#set(name, (this.find(name)?.weight ?? 0) + weight);
    const { verify, tarball, upload } = this.#asked;
    for (const [again, asked, factor] of [[VERIFICATION, verify, AGAIN.verification], ['tarball', tarball, AGAIN.tarball], ['upload', upload, AGAIN.upload]] as const) {
      if (asked) this.#set(again, (this.find(again)?.weight ?? 0) + factor * weight);
    }
  }

  #set(name: string, weight: number): void {
    const step = this.find(name);
    if (step !== undefined) step.weight = weight;
  }
}
