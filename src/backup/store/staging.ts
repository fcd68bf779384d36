/**
 * Objects that machines store for a backup of which another answers. Nothing can be seen of such an object before that other one completes it,
 * and it completes one of each name: whatever a machine stores that was given up long ago, nothing comes of it.
 */

/** Takes objects; whether one is then there or only staged is decided by who gives the sink. */
export interface ObjectSink {
  /** Writes an object, replacing one of that name. It appears when all of `content` is safely stored. Chunks are used up before the next is asked for. */
  write(name: string, content: AsyncIterable<Uint8Array>): Promise<void>;
}

/** An object that is stored and not yet there, as one machine tells another. */
export interface StagedObject {
  /** Below the backup's directory. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** In a directory: what it is called until then. */
  readonly file?: string;
  /** In a bucket: the upload, and its parts in their order. */
  readonly upload?: { readonly id: string; readonly parts: readonly { readonly etag: string; readonly sha256: string }[] };
}

export interface Staging {
  /** Before others store here. */
  begin(): Promise<void>;
  /** Stores an object. @throws RealmliftError as BackupStore.write does; PART_MISSING in a directory where the staging has ended */
  stage(name: string, content: AsyncIterable<Uint8Array>): Promise<StagedObject>;
  /** Makes it an object. @throws RealmliftError PART_NOT_THERE where it is not what was told */
  complete(staged: StagedObject): Promise<void>;
  /** Removes it. Never throws: what remains is removed in the end. */
  giveUp(staged: StagedObject): Promise<void>;
  /** Removes all that was not completed. */
  end(): Promise<void>;
}

/** A sink for one object, which is staged. */
export function stagingSink(staging: Staging): { readonly sink: ObjectSink; readonly staged: () => StagedObject } {
  let staged: StagedObject | undefined;
  return {
    sink: { write: async (name, content) => { staged = await staging.stage(name, content); } },
    staged: () => staged as StagedObject,
  };
}
