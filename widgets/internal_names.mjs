/**
 * Properties that only what is bundled gives each other: no message and no node has
 * them, and nobody reaches them by a text. So they can be shorter in the bundles. One that is left out costs some bytes, nothing else.
 */

const NAMES = [
  ..."branch choose connection dead drop follower grows loss press store".split(" "),
  ..."bringBack byKey canClose canOpen clockOffset comingQueued countingDown".split(
    " ",
  ),
  ..."drafts dropBefore editing endsAt giveUp givenUp hasAnswered heightBefore".split(
    " ",
  ),
  ..."isAsking isCode isCut isDone isEnded isImage isItemStart isKept isLast".split(
    " ",
  ),
  ..."isLineStart isLookingAt isLoss isMarked isOff isOpen isQuoted isRetried".split(
    " ",
  ),
  ..."isShown isTriedAgain isUnderWay listMore listed loadEarlier".split(" "),
  ..."loadingEarlier onAnswer onArrow onBack onChoose onEnd onEscape onFiles".split(
    " ",
  ),
  ..."onKeep onLoss onMedia onMessage onPong onPress onRename onSend onText".split(" "),
  ..."opensFor outbox picture pings pressed presses retryByItself sayAgain".split(" "),
  ..."sayInstead sentAt showEarlier stepping stopByKey stopTarget switchTo".split(" "),
  ..."overtaken tick hear upToHere wasLost withdraw".split(" "),
  // Of the parser of Markdown and its renderers.
  ..."add_text add_token backticks_count blockquote_idx code_fence_body".split(" "),
  ..."end_token fence_end fence_start hr_char hr_chars indent_len set_attr".split(" "),
  ..."pending renderer table_state".split(" "),
];

export const INTERNAL = new RegExp(`^(?:${NAMES.join("|")})$`);
