/** Files of an export while it is made, each known by what it was when it was finished. */

/** A finished file, safe on disk. */
export interface FinishedPart {
  /** Relative to the run's directory. */
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
  readonly rows: Readonly<Record<string, number>>;
  /** Of a messages file: ids of the clients that its messages were sent with. */
  readonly clients?: readonly number[] | undefined;
  /** Of a messages file: digest of the ids of its messages. */
  readonly ids?: string | undefined;
  /** Of a file of a base, see inodeOf. */
  readonly inode?: string | undefined;
  /** ETag of the object that it is, where it is not in the directory. */
  readonly etag?: string | undefined;
  /** Taken over from the base of the run, or from there with a few rows changed. */
  readonly base?: true | undefined;
  readonly mended?: true | undefined;
}

/** What the journal says of a file that an earlier run finished. */
export interface EarlierPart extends FinishedPart {
  /** Made out of the present snapshot by the same query: intact on disk is enough. */
  readonly certain: boolean;
}
