/** A real Chromium, where one is installed. */
import { accessSync, constants } from 'node:fs';
import { type BrowserContext, chromium } from 'playwright-core';
import { tempDir } from '../../support/process.ts';

const executablePath = process.env.CHROMIUM_PATH || '/usr/bin/chromium';
const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Why tests with a browser are skipped; false where they run. */
export function noChromium(): string | false {
  try {
    accessSync(executablePath, constants.X_OK);
    return false;
  } catch {
    return `there is no Chromium at ${executablePath}; CHROMIUM_PATH can name one`;
  }
}

/** Starts it with a profile of its own that goes with the test. @param args further ones */
export async function startChromium(args: readonly string[] = []): Promise<BrowserContext> {
  const options = { executablePath, args: [...CHROMIUM_FLAGS, ...args], headless: true, timeout: 120_000 };
  return chromium.launchPersistentContext(await tempDir('chromium'), options);
}
