/** Where each file of a split goes, with which attributes, and which pictures that Zulip made of it lie beside it. */
import type { UploadPlace } from '../files/upload/upload-place.js';
import type { Candidate, FileStore } from '../files/file-store.js';
import type { FileRecord } from '../files/records.js';
import { infoOfRecord } from '../files/s3/s3-candidates.js';
import type { FileRules } from '../files/wanted-files.js';
import { planFile, type FilePlanContext, type PlannedFile } from '../load/files/file-plan.js';

export type PlacedFile = Pick<PlannedFile, 'area' | 'key' | 'attributes' | 'modified'>;

export interface Ways {
  readonly from: FileStore['kind'];
  readonly to: UploadPlace['kind'];
  readonly realm: number;
  /** Whose the icons are in a bucket, where they belong to somebody: as at an import, the first owner's. */
  readonly owner: number | undefined;
  readonly zerverMigration: number;
  readonly rules: FileRules;
  /** Hashes of avatars, old to new. */
  readonly renamed: ReadonlyMap<string, string>;
}

/** Ids stay. */
const SAME: FilePlanContext['users'] = { get: (id) => id, partial: true, isNew: () => false, pairs: () => [], count: 0 };

const AVATAR = /^(\d+\/)([0-9a-f]{40})(.*)$/;

export class FilePlaces {
  readonly #context: FilePlanContext;
  readonly #ways: Ways;

  constructor(ways: Ways) {
    const { realm, owner, zerverMigration, to } = ways;
    this.#context = { realms: { old: realm, new: realm }, users: SAME, salt: undefined, zerverMigration, place: to, owner };
    this.#ways = ways;
  }

  /** What Zulip made of a picture is no part of an export, since an import makes it anew, but nobody imports a split. */
  siblings({ area, key, judge, refused }: Candidate): Candidate[] {
    if (refused !== undefined) return [];
    return this.#siblings(area, key).map((sibling) => ({ area, key: sibling, path: sibling, optional: true, judge }));
  }

  #siblings(area: Candidate['area'], key: string): string[] {
    if (area === 'emoji') return key.endsWith('.original') ? [] : [key.replace(/([^/]*?)(?:\.[^./]*)?$/, 'still/$1.png')];
    const [, realm = '', hash = '', suffix = ''] = AVATAR.exec(key) ?? [];
    if (area !== 'avatars' || hash === '') return [];
    const base = realm + hash;
    const { from, rules } = this.#ways;
    // In buckets since Zulip 9 an export has the original alone; before, and on disks, also what is shown.
    if (from === 's3' && rules.avatarVersions) return suffix === '.original' ? [`${base}.png`, `${base}-medium.png`] : [];
    return suffix === '.original' ? [] : [`${base}-medium.png`];
  }

  /** @returns undefined for what has no place there */
  placed({ area, key, path, upload }: Candidate, record: FileRecord): PlacedFile | undefined {
    const place = area === 'avatars' ? this.#avatarKey(key) : key;
    if (place === undefined) return undefined;
    const { attributes, modified } = planFile({ file: area, path: `${area}/${path}`, size: 0, sha256: '', record }, this.#context, upload?.served);
    const own = this.#ways.from === 's3' ? { ...attributes, contentType: infoOfRecord(record).contentType ?? attributes.contentType, metadata: infoOfRecord(record).metadata } : attributes;
    return { area: area === 'uploads' ? 'files' : 'avatars', key: place, attributes: own, modified };
  }

  /** In the buckets of older servers the picture itself has no `.png`; a bare one of later servers nobody reads any more. */
  #avatarKey(key: string): string | undefined {
    const [, realm = '', hash = '', suffix = ''] = AVATAR.exec(key) ?? [];
    if (hash === '') return key;
    const { from, to, rules, renamed } = this.#ways;
    const base = realm + (renamed.get(hash) ?? hash);
    if (suffix === '' && from === 's3') {
      if (to === 'buckets') return base;
      return rules.avatarVersions ? undefined : `${base}.png`;
    }
    return suffix === '.png' && to === 'buckets' && !rules.avatarVersions ? base : base + suffix;
  }
}
