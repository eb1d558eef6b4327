"""Builds the demo model from scratch: corpus, tokenizer, training, and the shipped folder.

    python -m scripts.train_demo_model
    python -m scripts.train_demo_model --start workers/demo

The second run goes on from the weights of the first, and adds the tools. Either may be interrupted
at any time; the same command continues from the last checkpoint.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from scripts.demo_model.curve import draw_curve
from scripts.demo_model.model import load_model, new_model, save_model
from scripts.demo_model.tokenizer import copy_tokenizer, load_encoder, train_tokenizer
from scripts.demo_model.training import FURTHER, Progress, Settings, Training

FOLDER = Path("workers/demo")
WORK = Path("build/demo_model")


def main() -> None:
    """Train, and write the folder."""
    parser = argparse.ArgumentParser(description="Build the demo model.")
    parser.add_argument(
        "--out", type=Path, default=FOLDER, help="the folder to write (%(default)s)"
    )
    parser.add_argument("--start", type=Path, help="go on from a folder's weights, with tools")
    parser.add_argument("--work", type=Path, default=WORK, help="for resuming (%(default)s)")
    parser.add_argument("--steps", type=int, help="3,000, or 1,300 with --start")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    torch.set_num_threads(1)  # for each of the two halves of a batch
    settings = FURTHER if args.start else Settings()
    settings = replace(
        settings,
        steps=settings.steps if args.steps is None else args.steps,
        seed=settings.seed if args.seed is None else args.seed,
    )
    work = args.work / ("tools" if args.start else "topics")
    args.out.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)

    if not (work / "tokenizer.model").exists():
        if args.start:
            copy_tokenizer(args.start, work)
        else:
            print("training the tokenizer", flush=True)
            train_tokenizer(work, settings.seed)
    model = load_model(args.start) if args.start else new_model(settings.seed)
    encoder = load_encoder(work)
    training = Training(model, encoder.encode, settings, work, torch.device(args.device))
    progress = Progress(settings.steps)
    for point in training.run():
        progress.show(point)
    copy_tokenizer(work, args.out)
    save_model(training.model, args.out)
    draw_curve(training.curve, args.out / ("loss_tools.svg" if args.start else "loss.svg"))
    print(f"saved {args.out}; score it with: python -m scripts.demo_model.evaluate", flush=True)


if __name__ == "__main__":
    main()
