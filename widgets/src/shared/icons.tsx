/** The few icons that are used, drawn with the colour of the text around them. */

const PATHS = {
  send: "M8 13V3M3.5 7.5 8 3l4.5 4.5",
  stop: "M4.5 4.5h7v7h-7z",
  chevron: "m6 4 4 4-4 4",
  down: "m4 6 4 4 4-4",
  check: "m3.5 8.5 3 3 6-7",
  cross: "m4.5 4.5 7 7m0-7-7 7",
  denied: "M8 2.5a5.5 5.5 0 1 0 .01 0zM4.2 4.2l7.6 7.6",
  copy: "M6 6h7v7H6zM10 3.5V3H3v7h.5",
  retry: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3",
  tool: "M9.8 2.6a3.4 3.4 0 0 0-3.6 4.7L2.6 11l2.4 2.4 3.6-3.6a3.4 3.4 0 0 0 4.7-3.6l-2 2-2.2-.6-.6-2.2z",
  bulb: "M6 11.5h4M6.5 13.5h3M5.7 9.6a3.8 3.8 0 1 1 4.6 0c-.3.3-.4.7-.4 1.1H6.1c0-.4-.1-.8-.4-1.1z",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  plus: "M8 3.5v9M3.5 8h9",
  pencil: "M10.8 3.2l2 2L6 12l-2.7.7.7-2.7z",
  image: "M2.5 3.5h11v9h-11zM3 11l3-3 2.5 2.5L10 9l3 3",
} as const;

export function Icon({ name, size = 16 }: { name: keyof typeof PATHS; size?: number }) {
  return (
    <svg
      class="arn-icon"
      viewBox="0 0 16 16"
      width={size}
      height={size}
      fill={name === "stop" ? "currentColor" : "none"}
      stroke="currentColor"
      stroke-width={name === "more" ? 2.2 : 1.5}
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
