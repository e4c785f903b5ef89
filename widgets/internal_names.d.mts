export const INTERNAL: RegExp;
