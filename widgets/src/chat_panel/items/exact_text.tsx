import { splitHidden } from "./hidden_characters.ts";

/**
 * A text of which nothing is hidden: what one would not see is named, and letters that
 * are written from right to left stand in the order in which they are sent.
 */
export function ExactText({ text }: { text: string }) {
  return (
    <bdo dir="ltr">
      {splitHidden(text).map((part, index) =>
        "mark" in part ? (
          <mark key={index} class="arn-named" data-testid="hidden-character">
            {part.mark}
          </mark>
        ) : (
          part.text
        ),
      )}
    </bdo>
  );
}
