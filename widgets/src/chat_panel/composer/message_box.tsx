import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { focusOn } from "../../shared/focus.ts";
import { Icon } from "../../shared/icons.tsx";
import { ACCEPTED_TYPES, type Attachment, readImages } from "../store/attachments.ts";

const MAX_HEIGHT = 160;

type ChangeMedia = (change: (media: Attachment[]) => Attachment[]) => void;

interface MessageBoxProps {
  text: string;
  media: Attachment[];
  onText: (text: string) => void;
  onMedia: ChangeMedia;
  onSend: () => void;
  onEscape: () => void;
  /** What an arrow key at an end of the text puts in its place. */
  onArrow?: (
    key: "ArrowUp" | "ArrowDown",
    area: HTMLTextAreaElement,
  ) => string | undefined;
  label: string;
  placeholder: string;
  hint: string;
  disabled: boolean;
  /** Begin in the box, with the caret behind the text. */
  autoFocus?: boolean;
  testid: string;
  /** The buttons at the right. */
  children: preact.ComponentChildren;
}

/** A box to write a message in, with images by paste, drop and a button. */
export function MessageBox(props: MessageBoxProps) {
  const { text, media, disabled, onText, onMedia } = props;
  const area = useRef<HTMLTextAreaElement>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const latest = useRef(media);
  latest.current = media;

  useAutoHeight(area, text);
  useLayoutEffect(() => {
    const box = area.current;
    if (!props.autoFocus || !box) return;
    box.focus();
    box.setSelectionRange(box.value.length, box.value.length);
  }, []);

  const attach = async (files: FileList | null | undefined) => {
    if (!files?.length || disabled) return;
    // At once: who has gone on while the images are read is not called back.
    focusOn(area.current);
    const read = await readImages([...files], latest.current);
    setProblem(read.problem);
    if (read.images.length > 0) onMedia((before) => [...before, ...read.images]);
  };
  const onPaste = (event: ClipboardEvent) => {
    const files = event.clipboardData?.files;
    // Office programs add a picture of the text that one copies.
    if (!files?.length || event.clipboardData?.getData("text/plain")) return;
    event.preventDefault();
    void attach(files);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a place to drop files on
    <div
      class="arn-box"
      data-disabled={disabled}
      onDragOver={(event) => {
        if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
      }}
      onDrop={(event) => {
        if (!event.dataTransfer?.files.length) return;
        event.preventDefault();
        event.stopPropagation();
        void attach(event.dataTransfer?.files);
      }}
    >
      <Attachments media={media} onMedia={onMedia} />
      {problem && (
        <p class="arn-box-problem" role="alert" data-testid="attachment-problem">
          {problem}
        </p>
      )}
      <div class="arn-box-row">
        <AttachButton disabled={disabled} onFiles={attach} />
        <textarea
          ref={area}
          class="arn-input"
          rows={1}
          value={text}
          disabled={disabled}
          placeholder={props.placeholder}
          aria-label={props.label}
          aria-keyshortcuts="Enter Escape"
          title={props.hint}
          data-testid={props.testid}
          onInput={(event) => {
            setProblem(null);
            onText(event.currentTarget.value);
          }}
          onKeyDown={(event) => onKey(event, props)}
          onPaste={onPaste}
        />
        <div class="arn-box-bar">{props.children}</div>
      </div>
    </div>
  );
}

function onKey(event: KeyboardEvent, props: MessageBoxProps): void {
  // Keys that choose a character of a longer alphabet are not meant for us.
  if (event.isComposing || event.keyCode === 229) return;
  const { key } = event;
  if (key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    props.onSend();
  } else if (key === "Escape") {
    event.preventDefault();
    if (!event.repeat) props.onEscape();
  } else if (isArrow(key) && !event.shiftKey && !event.altKey) {
    const text = props.onArrow?.(key, event.currentTarget as HTMLTextAreaElement);
    if (text === undefined) return;
    event.preventDefault();
    props.onText(text);
  }
}

function isArrow(key: string): key is "ArrowUp" | "ArrowDown" {
  return key === "ArrowUp" || key === "ArrowDown";
}

interface AttachmentsProps {
  media: Attachment[];
  onMedia: ChangeMedia;
}

function Attachments({ media, onMedia }: AttachmentsProps) {
  if (media.length === 0) return null;
  return (
    <ul class="arn-attachments" aria-label="Images to be sent">
      {media.map((image) => (
        <li key={image.uri} class="arn-attachment" data-testid="attachment">
          <img src={image.uri} alt={image.name} />
          <button
            type="button"
            class="arn-attachment-remove"
            aria-label={`Remove ${image.name}`}
            title="Remove"
            data-testid="remove-attachment"
            onClick={() => onMedia((before) => before.filter((one) => one !== image))}
          >
            <Icon name="cross" size={12} />
          </button>
        </li>
      ))}
    </ul>
  );
}

interface AttachButtonProps {
  disabled: boolean;
  onFiles: (files: FileList | null) => void;
}

function AttachButton({ disabled, onFiles }: AttachButtonProps) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button
        type="button"
        class="arn-round arn-round-plain"
        aria-label="Attach images"
        title="Attach images (or paste, or drop them here)"
        disabled={disabled}
        data-testid="attach"
        onClick={() => input.current?.click()}
      >
        <Icon name="plus" />
      </button>
      <input
        ref={input}
        type="file"
        hidden
        multiple
        accept={ACCEPTED_TYPES.join(",")}
        data-testid="attach-input"
        onChange={(event) => {
          onFiles(event.currentTarget.files);
          event.currentTarget.value = "";
        }}
      />
    </>
  );
}

function useAutoHeight(
  box: { current: HTMLTextAreaElement | null },
  text: string,
): void {
  const fit = () => {
    const area = box.current;
    if (!area) return;
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight, MAX_HEIGHT)}px`;
  };
  useLayoutEffect(fit, [text]);
  useEffect(() => {
    const area = box.current;
    if (!area) return;
    // A view in a hidden tab has no size until it is shown. In the next frame: browsers
    // complain of an observer that resizes what it observes.
    const observer = new ResizeObserver(() => requestAnimationFrame(fit));
    observer.observe(area.parentElement ?? area);
    return () => observer.disconnect();
  }, []);
}
