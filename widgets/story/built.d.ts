/** What story/build.mjs writes: the texts of the lazy modules by name. */
declare module "*/build/modules.js" {
  const texts: Record<string, string>;
  export default texts;
}
