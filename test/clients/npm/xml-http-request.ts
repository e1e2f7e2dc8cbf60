/** As much of a browser's XMLHttpRequest as Google's gRPC-Web client needs, on Node.js's fetch: text that grows. */
export class XmlHttpRequest {
  readyState = 0;
  status = 0;
  statusText = '';
  responseText = '';
  responseType = '';
  response: unknown = '';
  withCredentials = false;
  timeout = 0;
  onreadystatechange: (() => void) | null = null;
  readonly #sent = new Headers();
  readonly #stop = new AbortController();
  #got = new Headers();
  #method = 'GET';
  #url = '';

  open(method: string, url: string): void {
    this.#method = method;
    this.#url = url;
    this.#advance(1);
  }

  setRequestHeader(name: string, value: string): void {
    this.#sent.append(name, value);
  }

  getResponseHeader(name: string): string | null {
    return this.#got.get(name);
  }

  getAllResponseHeaders(): string {
    return [...this.#got].map(([name, value]) => `${name}: ${value}\r\n`).join('');
  }

  send(body: string | Uint8Array): void {
    void this.#run(body).catch(() => {
      this.status = 0;
      this.#advance(4);
    });
  }

  abort(): void {
    this.onreadystatechange = null;
    this.#stop.abort();
  }

  async #run(body: string | Uint8Array): Promise<void> {
    const response = await fetch(this.#url, {
      method: this.#method,
      headers: this.#sent,
      body: typeof body === 'string' ? body : Buffer.from(body),
      signal: this.#stop.signal,
    });
    this.#got = response.headers;
    this.status = response.status;
    this.statusText = response.statusText;
    this.#advance(2);
    const chunks: Buffer[] = [];
    for await (const chunk of response.body ?? []) {
      const bytes = Buffer.from(chunk);
      if (this.responseType === 'arraybuffer') chunks.push(bytes);
      else this.responseText += bytes.toString('latin1');
      this.#advance(3);
    }
    const whole = Buffer.concat(chunks);
    this.response = this.responseType === 'arraybuffer' ? Uint8Array.from(whole).buffer : this.responseText;
    this.#advance(4);
  }

  #advance(state: number): void {
    this.readyState = state;
    this.onreadystatechange?.();
  }
}
