import { Icon } from "../../shared/icons.tsx";
import type { ChatStore } from "../store/chat_store.ts";
import type { Branch } from "../store/model.ts";

interface BranchControlProps {
  branch: Branch;
  store: ChatStore;
}

/** Which of the branches that part here is shown, and arrows to the others. */
export function BranchControl({ branch, store }: BranchControlProps) {
  const { options, index } = branch;
  const go = (step: number) => {
    const option = options[index + step];
    if (!option) return;
    store.branchNavigation = { to: option.instance_id, step };
    store.conversationActions.switchTo(option.instance_id);
  };
  const isOff = store.dead.value;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for forms
    <div
      class="arn-branch"
      data-shown={options[index]?.instance_id}
      role="group"
      aria-label="Branches"
      data-testid="branch"
    >
      <button
        type="button"
        class="arn-branch-button arn-branch-previous"
        aria-label="Previous branch"
        title={nameOf(branch, -1)}
        data-testid="branch-previous"
        disabled={isOff || index === 0}
        onClick={() => go(-1)}
      >
        <Icon name="chevron" size={14} />
      </button>
      <span>
        <span class="arn-hidden">Branch </span>
        {index + 1}/{options.length}
      </span>
      <button
        type="button"
        class="arn-branch-button"
        aria-label="Next branch"
        title={nameOf(branch, 1)}
        data-testid="branch-next"
        disabled={isOff || index === options.length - 1}
        onClick={() => go(1)}
      >
        <Icon name="chevron" size={14} />
      </button>
    </div>
  );
}

function nameOf({ options, index }: Branch, step: number): string | undefined {
  const option = options[index + step];
  return option && (option.name ?? option.instance_id);
}
