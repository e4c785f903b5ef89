/**
 * Properties that only what is bundled gives each other: no message and no node has
 * them, and nobody reaches them by a text. So they can be shorter in the bundles. One
 * that is left out costs some bytes, nothing else.
 */

/** Of the widgets themselves. */
const OWN = `
  arrived attach attribute autoRetry autoRetryTarget begin branch branchNavigation
  byKey canClose canOpen choose clockOffset comingQueued connection
  conversationActions dead deliveries delivery dispose drafts dropBefore dropMessage
  editing endsAt follower formulaAt formulas givenUp giveUp grows hasAnswered
  heading heightBefore isAsking isCode isComplete isCut isDone isEnded isImage
  isItemStart isKept isLast isLineStart isLookingAt isLoss isMarked isOff isOpen
  isQuoted isReadOnly isRetried isShown isTriedAgain isUnderWay keepPosition listed
  listMore loadEarlier loadingEarlier loss nextPosition onAnswer onArrow onBack
  onChoose onEnd onEscape onFiles onKeep onLoss onMedia onMessage onPong onPress
  onRename onSend onText opensFor outbox conflictNotice pendingTurns picture pings press
  resend resendMessage restore scrollToBottom scrollToMiddle sendEdited sending
  sendMessage sentAt showEarlier sideChannel stopByKey stopTarget store switchTo
  tick upToHere wasLost withdraw`;

/** Of the Markdown library: its parser and its renderers. */
const MARKDOWN_LIBRARY = `
  add_text add_token backticks_count blockquote_idx code_fence_body end_token
  fence_end fence_start hr_char hr_chars indent indent_len len pending renderer
  set_attr spaces table_state token tokens`;

const NAMES = `${OWN} ${MARKDOWN_LIBRARY}`.trim().split(/\s+/);

export const INTERNAL = new RegExp(`^(?:${NAMES.join("|")})$`);
