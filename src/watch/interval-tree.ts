/**
 * Finds the ranges that contain a key: a treap ordered by where ranges start, in which every node knows the furthest
 * end below it (an augmented tree, CLRS chapter "Interval Trees"). Adding, removing and one answer cost O(log n).
 */
import type { KeyRange } from '../etcd/key-range.ts';

class Node<T> {
  readonly range: KeyRange;
  readonly value: T;
  readonly priority = Math.random();
  left: Node<T> | undefined;
  right: Node<T> | undefined;
  /** The furthest end in this subtree. */
  furthest: string;

  constructor(range: KeyRange, value: T) {
    this.range = range;
    this.value = value;
    this.furthest = range.end;
  }

  update(): void {
    let furthest = this.range.end;
    if (this.left && this.left.furthest > furthest) furthest = this.left.furthest;
    if (this.right && this.right.furthest > furthest) furthest = this.right.furthest;
    this.furthest = furthest;
  }
}

/** Ranges with a value each; a range can be in it once. */
export class IntervalTree<T> {
  #root: Node<T> | undefined;

  /** Adds a range that is not in the tree. */
  add(range: KeyRange, value: T): void {
    this.#root = insert(this.#root, new Node(range, value));
  }

  /** Removes a range, if it is in the tree. */
  remove(range: KeyRange): void {
    this.#root = remove(this.#root, range);
  }

  /** Calls `visit` with the value of every range that contains the key. */
  visit(key: string, visit: (value: T) => void): void {
    walk(this.#root, key, visit);
  }

  /** Calls `visit` with the value of every range that has all of another one in it, while that returns `true`. */
  covering({ start, end }: KeyRange, visit: (value: T) => boolean): void {
    cover(this.#root, start, end, visit);
  }
}

function walk<T>(node: Node<T> | undefined, key: string, visit: (value: T) => void): void {
  if (node === undefined || node.furthest <= key) return;
  walk(node.left, key, visit);
  if (node.range.start > key) return;
  if (key < node.range.end) visit(node.value);
  walk(node.right, key, visit);
}

/** @returns whether it went on to the end */
function cover<T>(
  node: Node<T> | undefined,
  start: string,
  end: string,
  visit: (value: T) => boolean,
): boolean {
  if (node === undefined || node.furthest < end) return true;
  if (!cover(node.left, start, end, visit)) return false;
  if (node.range.start > start) return true;
  if (node.range.end >= end && !visit(node.value)) return false;
  return cover(node.right, start, end, visit);
}

/** Orders ranges by start, then end. */
function before(a: KeyRange, b: KeyRange): boolean {
  return a.start === b.start ? a.end < b.end : a.start < b.start;
}

function insert<T>(root: Node<T> | undefined, node: Node<T>): Node<T> {
  if (root === undefined) return node;
  if (before(node.range, root.range)) {
    root.left = insert(root.left, node);
    if (root.left.priority > root.priority) return rotateRight(root, root.left);
  } else {
    root.right = insert(root.right, node);
    if (root.right.priority > root.priority) return rotateLeft(root, root.right);
  }
  root.update();
  return root;
}

function remove<T>(root: Node<T> | undefined, range: KeyRange): Node<T> | undefined {
  if (root === undefined) return undefined;
  if (root.range.id === range.id) return join(root.left, root.right);
  if (before(range, root.range)) root.left = remove(root.left, range);
  else root.right = remove(root.right, range);
  root.update();
  return root;
}

function join<T>(left: Node<T> | undefined, right: Node<T> | undefined): Node<T> | undefined {
  if (left === undefined) return right;
  if (right === undefined) return left;
  if (left.priority > right.priority) {
    left.right = join(left.right, right);
    left.update();
    return left;
  }
  right.left = join(left, right.left);
  right.update();
  return right;
}

function rotateRight<T>(root: Node<T>, left: Node<T>): Node<T> {
  root.left = left.right;
  left.right = root;
  root.update();
  left.update();
  return left;
}

function rotateLeft<T>(root: Node<T>, right: Node<T>): Node<T> {
  root.right = right.left;
  right.left = root;
  root.update();
  right.update();
  return right;
}
