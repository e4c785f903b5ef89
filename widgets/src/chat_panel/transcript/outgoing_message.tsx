import { short } from "../../shared/format.ts";
import { DeliveryNote } from "../../side_channel/delivery_note.tsx";
import type { ChatStore } from "../store/chat_store.ts";
import type { OutgoingMessage } from "../store/outbox.ts";

/** A message that is no turn yet. */
export function OutgoingMessageView({
  message,
  store,
}: {
  message: OutgoingMessage;
  store: ChatStore;
}) {
  const { refused, text, media } = message;
  return (
    <article
      class="arn-turn"
      data-testid="turn"
      data-status={refused ? "refused" : "sending"}
    >
      <div class="arn-user">
        <span class="arn-hidden">You said: </span>
        {text && <div class="arn-bubble">{text}</div>}
        {media.length > 0 && (
          <div class="arn-thumbs">
            {media.map(({ uri, name }) => (
              <img key={uri} src={uri} alt={short(name, 40)} />
            ))}
          </div>
        )}
      </div>
      {refused ? (
        <div class="arn-failure" role="alert">
          <p class="arn-failure-text">Not sent: {refused.message}</p>
          <div class="arn-actions">
            <button
              type="button"
              class="arn-pill"
              disabled={store.dead.value}
              data-testid="send-again"
              onClick={() => store.resendMessage(message)}
            >
              Send again
            </button>
            <button
              type="button"
              class="arn-pill"
              data-testid="edit-unsent"
              onClick={() => {
                store.dropMessage(message.id);
                store.drafts.write(text);
                store.drafts.attach(() => media);
              }}
            >
              Edit
            </button>
          </div>
        </div>
      ) : (
        <>
          <p class="arn-user-note">sending…</p>
          <DeliveryNote ids={[message.id]} deliveries={store.sideChannel.deliveries} />
        </>
      )}
    </article>
  );
}
