/** esbuild turns `import "./x.css"` into the stylesheet beside the bundle. */
declare module "*.css";
