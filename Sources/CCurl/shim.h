// libcurl, and thin wrappers for what Swift cannot import of it: variadic functions and macros. No logic of ours lives here but a writer that
// throws away what it is given.
#pragma once
#include <curl/curl.h>
#include <stdint.h>

static inline CURLcode pg_curl_set_long(CURL *transfer, CURLoption option, long value) { return curl_easy_setopt(transfer, option, value); }
static inline CURLcode pg_curl_set_text(CURL *transfer, CURLoption option, const char *value) { return curl_easy_setopt(transfer, option, value); }
static inline CURLcode pg_curl_set_buffer(CURL *transfer, CURLoption option, char *value) { return curl_easy_setopt(transfer, option, value); }
static inline CURLcode pg_curl_set_headers(CURL *transfer, struct curl_slist *headers) {
  return curl_easy_setopt(transfer, CURLOPT_HTTPHEADER, headers);
}
static inline CURLMcode pg_curl_multi_set_long(CURLM *multi, CURLMoption option, long value) { return curl_multi_setopt(multi, option, value); }
static inline long pg_curl_response_status(CURL *transfer) {
  long status = 0;
  curl_easy_getinfo(transfer, CURLINFO_RESPONSE_CODE, &status);
  return status;
}
static inline CURLcode pg_curl_message_result(const CURLMsg *message) { return message->data.result; }
static inline CURLcode pg_curl_global_init(void) { return curl_global_init(CURL_GLOBAL_DEFAULT); }

/// Takes bytes of an answer and forgets them; one that is longer than `left` says ends the transfer (CURLE_WRITE_ERROR).
static inline size_t pg_curl_forget(char *bytes, size_t size, size_t count, void *left) {
  (void)bytes;
  uint64_t *room = (uint64_t *)left;
  size_t length = size * count;
  if (length > *room) return 0;
  *room -= length;
  return length;
}
/// The same for the answer's headers and its body together; `left` must outlive the transfer.
static inline void pg_curl_forget_answer(CURL *transfer, uint64_t *left) {
  curl_easy_setopt(transfer, CURLOPT_WRITEFUNCTION, &pg_curl_forget);
  curl_easy_setopt(transfer, CURLOPT_WRITEDATA, (void *)left);
  curl_easy_setopt(transfer, CURLOPT_HEADERFUNCTION, &pg_curl_forget);
  curl_easy_setopt(transfer, CURLOPT_HEADERDATA, (void *)left);
}
