/** The objects of bench-files: whose they are and how they are called. */
export const REALM = 2;
export const OWNER = 7;
export const smallKey = (index: number): string => `${REALM}/${String(index).padStart(8, '0')}/small.bin`;
export const largeKey = (index: number): string => `${REALM}/large-${index}/large.bin`;
