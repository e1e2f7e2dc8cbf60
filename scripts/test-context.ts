/**
 * Which test some code belongs to, told by Node.js' own `AsyncLocalStorage`. The test runner finds it out by a hook that sees
 * every promise and every other resource come and go, which takes more CPU than all that most test files do themselves.
 */

/**
 * Runs in the process of a test file before its own code, where nothing of ours is loaded: so all that it needs is in it.
 * While the runner is loaded, it is given a hook that hears of tests alone, and an id that comes from the context.
 */
export function tellTestsByContext(): void {
  type Init = (id: number, type: string, trigger: number, resource: object) => void;
  if (!process.getBuiltinModule('node:worker_threads').isMainThread) return;
  const hooks = process.getBuiltinModule('node:async_hooks');
  const { AsyncResource, AsyncLocalStorage, createHook, executionAsyncId } = hooks;
  const current = new AsyncLocalStorage<number>();
  let init: Init | undefined;
  class Resource extends AsyncResource {
    constructor(type: string, options?: ConstructorParameters<typeof AsyncResource>[1]) {
      super(type, options);
      init?.(this.asyncId(), type, this.triggerAsyncId(), this);
    }

    override runInAsyncScope<This, Result>(
      ...[run, self, ...args]: Parameters<typeof AsyncResource.prototype.runInAsyncScope<This, Result>>
    ): Result {
      // inside, since a resource brings the context with it in which it was made
      return super.runInAsyncScope(() => current.run(this.asyncId(), () => Reflect.apply(run, self, args)));
    }
  }
  Object.assign(hooks, {
    AsyncResource: Resource,
    executionAsyncId: () => current.getStore() ?? executionAsyncId(),
    createHook: (hook: { init: Init }) => ({
      enable() {
        init = hook.init;
      },
      disable() {
        init = undefined;
      },
    }),
  });
  process.getBuiltinModule('node:test');
  Object.assign(hooks, { AsyncResource, createHook, executionAsyncId });
}
