import { Component, type ComponentType } from "preact";

/** Draw again only when a property is another object: turns are never changed. */
export function memo<P extends object>(Inner: ComponentType<P>): ComponentType<P> {
  return class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const keys = Object.keys({ ...this.props, ...next }) as (keyof P)[];
      return keys.some((key) => this.props[key] !== next[key]);
    }

    render() {
      return <Inner {...(this.props as P)} />;
    }
  };
}
